// TLS where QUORATE_TLS_CA_FILE, _CERT_FILE and _KEY_FILE say so, as the command `quorate` has it.

#pragma once

#include <grpcpp/security/credentials.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>

inline std::string read_file(const std::string& path) {
  std::ifstream file{path};
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>{file}, {}};
}

/// The content of the file that an environment variable names; empty where it names none.
inline std::string read_file_of(const char* variable) {
  const char* path = std::getenv(variable);
  return path != nullptr && *path != '\0' ? read_file(path) : "";
}

inline std::shared_ptr<grpc::ChannelCredentials> credentials() {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = read_file_of("QUORATE_TLS_CA_FILE");
  options.pem_cert_chain = read_file_of("QUORATE_TLS_CERT_FILE");
  options.pem_private_key = read_file_of("QUORATE_TLS_KEY_FILE");
  if (options.pem_root_certs.empty()) return grpc::InsecureChannelCredentials();
  return grpc::SslCredentials(options);
}
