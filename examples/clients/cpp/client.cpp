// Submits tasks, follows them and reads their logs, through failovers.
//
//   client [--tasks N] [--service-config FILE] ADDRESS...
//
// ADDRESS is ip:port of any scheduler; give all of them. A single one may be any gRPC target, such
// as dns:///schedulers:7480. Prints one line for each task created, finished and read.
//
// Who repeats what when a scheduler dies:
//   a single call   gRPC itself, on another address, as the service config says; then `repeat`,
//                   always with the same request_id, so that nothing is done twice
//   the watch       `follow`: opened again behind the last resume_token: nothing is missed or told
//                   twice
//   a log           `read_log`: read again from its beginning

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "credentials.h"
#include "quorate/v1/scheduler.grpc.pb.h"

namespace pb = quorate::v1;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Stub = pb::Scheduler::Stub;

namespace {

const std::string kQueue = "default";
constexpr auto kCallTimeout = 5s;  // One try of one call.
constexpr auto kPatience = 60s;    // All tries together; also when a watch is renewed.
constexpr std::chrono::milliseconds kLongestPause = 1000ms, kWatchPause = 100ms;
constexpr int kMostBytes = 64 << 20;  // Of one answer.

std::mt19937_64& random_bits() {
  static std::mt19937_64 bits{std::random_device{}()};
  return bits;
}

std::unique_ptr<Stub> connect(const std::vector<std::string>& addresses,
                              const std::string& service_config) {
  std::string target = addresses.size() == 1 ? addresses[0] : "ipv4:" + addresses[0];
  for (size_t i = 1; i < addresses.size(); i++) target += "," + addresses[i];
  grpc::ChannelArguments arguments;
  // With TLS: what every certificate has to name. It would be the whole list.
  if (addresses.size() > 1) arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, addresses[0]);
  arguments.SetServiceConfigJSON(service_config);
  arguments.SetMaxReceiveMessageSize(kMostBytes);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);  // Finds out that a scheduler is frozen.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  return pb::Scheduler::NewStub(
      grpc::CreateCustomChannel(target, credentials(), arguments));
}

/// Whether another try may do better: the outcome of this one is not known.
bool is_unknown(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE ||
         status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
}

[[noreturn]] void fail(const grpc::Status& status) {
  throw std::runtime_error("status " + std::to_string(status.error_code()) + ": " +
                           status.error_message());
}

/// Waits at random, at most so long: a crowd of clients does not come back in step.
void pause(std::chrono::milliseconds most) {
  std::uniform_int_distribution<long> draw{0, most.count()};
  std::this_thread::sleep_for(std::chrono::milliseconds{draw(random_bits())});
}

/// A call waits for a connection until its deadline. If it failed at once instead, nobody would
/// drive the connections that are being made: a synchronous client has no thread of its own.
void set_patience(grpc::ClientContext& context, std::chrono::seconds timeout) {
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  context.set_wait_for_ready(true);
}

/// Runs `attempt`, each time with a deadline of its own, until its outcome is known.
void repeat(const std::function<grpc::Status(grpc::ClientContext*)>& attempt) {
  const auto begin = Clock::now();
  for (auto most = 20ms;; most = std::min(2 * most, kLongestPause)) {
    grpc::ClientContext context;
    set_patience(context, kCallTimeout);
    const grpc::Status status = attempt(&context);
    if (status.ok()) return;
    if (!is_unknown(status) || Clock::now() - begin > kPatience) fail(status);
    pause(most);
  }
}

std::string new_request_id() {
  std::ostringstream id;
  id << std::hex << random_bits()() << random_bits()();
  return id.str();
}

std::string create_task(Stub& stub, int number) {
  pb::CreateTaskRequest request;
  request.set_queue(kQueue);
  request.set_request_id(new_request_id());  // Made once, outside of what is repeated.
  pb::TaskSpec& spec = *request.mutable_spec();
  spec.set_name("hello-from-cpp");
  (*spec.mutable_labels())["client"] = "cpp";
  for (const std::string& word :
       {std::string{"sh"}, std::string{"-c"},
        "sleep 0.05; echo hello " + std::to_string(number) + " from cpp"}) {
    spec.mutable_command()->add_argv(word);
  }
  pb::CreateTaskResponse answer;
  repeat([&](auto* context) { return stub.CreateTask(context, request, &answer); });
  return answer.task().id();
}

/// Asks for finished tasks of the queue behind a token.
pb::WatchTasksRequest watch_request(const std::string& token) {
  pb::WatchTasksRequest request;
  request.set_queue(kQueue);
  request.add_states(pb::TASK_STATE_SUCCEEDED);
  request.add_states(pb::TASK_STATE_FAILED);
  request.add_states(pb::TASK_STATE_CANCELLED);
  request.set_resume_token(token);
  return request;
}

/// A token: what happens from here on is behind it.
std::string watch_from_now(Stub& stub) {
  pb::WatchTasksResponse answer;
  repeat([&](auto* context) {
    auto reader = stub.WatchTasks(context, watch_request(""));
    if (!reader->Read(&answer)) return reader->Finish();
    context->TryCancel();
    reader->Finish();
    return grpc::Status::OK;
  });
  return answer.resume_token();
}

using Tell = std::function<void(const pb::Task&)>;

/// Reads the watch behind `token` until every task of `waiting` has told its final state.
void follow(Stub& stub, std::string token, std::set<std::string> waiting, const Tell& tell) {
  const Tell settle = [&](const pb::Task& task) {
    if (waiting.erase(task.id()) > 0) tell(task);
  };
  auto heard = Clock::now();
  while (true) {
    grpc::ClientContext context;
    set_patience(context, kPatience);
    auto reader = stub.WatchTasks(&context, watch_request(token));
    for (pb::WatchTasksResponse answer; reader->Read(&answer);) {
      heard = Clock::now();
      if (token.empty()) {
        // Only now: what finishes after these looks is in the stream.
        for (const std::string& id : std::set<std::string>{waiting}) {
          pb::GetTaskRequest request;
          request.set_id(id);
          pb::GetTaskResponse found;
          repeat([&](auto* look) { return stub.GetTask(look, request, &found); });
          if (found.task().has_finish_time()) settle(found.task());
        }
      }
      for (const pb::TaskEvent& event : answer.events()) settle(event.task());
      token = answer.resume_token();
      if (waiting.empty()) context.TryCancel();
    }
    const grpc::Status status = reader->Finish();
    if (waiting.empty()) return;
    if (status.error_code() == grpc::StatusCode::OUT_OF_RANGE) {
      token.clear();  // Too old to resume from: watch from now on, and look once.
    } else if (!status.ok() && (!is_unknown(status) || Clock::now() - heard > kPatience)) {
      fail(status);
    }
    std::cerr << "the watch is resumed: " << status.error_message() << std::endl;
    pause(kWatchPause);
  }
}

/// What a task wrote to standard output.
std::string read_log(Stub& stub, const std::string& id) {
  std::string text;
  repeat([&](auto* context) {
    text.clear();
    pb::StreamTaskLogsRequest request;
    request.set_id(id);
    auto reader = stub.StreamTaskLogs(context, request);
    for (pb::StreamTaskLogsResponse answer; reader->Read(&answer);) {
      if (answer.chunk().stream() == pb::LOG_STREAM_STDOUT) text += answer.chunk().data();
    }
    return reader->Finish();
  });
  return text;
}

}  // namespace

int main(int argc, char** argv) try {
  int tasks = 10;
  std::string config = "../../../protos/quorate/v1/service_config.json";
  std::vector<std::string> addresses;
  for (int i = 1; i < argc; i++) {
    const std::string word = argv[i];
    if (word == "--tasks" && i + 1 < argc) tasks = std::atoi(argv[++i]);
    else if (word == "--service-config" && i + 1 < argc) config = argv[++i];
    else addresses.push_back(word);
  }
  if (addresses.empty() || tasks < 1) throw std::runtime_error("usage: client [--tasks N] ADDRESS...");
  const std::unique_ptr<Stub> stub = connect(addresses, read_file(config));

  const std::string token = watch_from_now(*stub);  // Before the first task: nothing is missed.
  std::vector<std::string> ids;
  for (int number = 0; number < tasks; number++) {
    ids.push_back(create_task(*stub, number));
    std::cout << "created " << ids.back() << std::endl;
  }
  int failed = 0;
  follow(*stub, token, {ids.begin(), ids.end()}, [&](const pb::Task& task) {
    std::cout << pb::TaskState_Name(task.state()) << " " << task.id() << std::endl;
    if (task.state() != pb::TASK_STATE_SUCCEEDED) failed++;
  });
  for (const std::string& id : ids) {
    std::cout << "log " << id << " " << read_log(*stub, id) << std::flush;
  }
  if (failed > 0) throw std::runtime_error(std::to_string(failed) + " tasks failed");
  return EXIT_SUCCESS;
} catch (const std::exception& error) {
  std::cerr << error.what() << std::endl;
  return EXIT_FAILURE;
}
