package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// connect makes one channel to all addresses.
func connect(addresses []string, serviceConfig string) (*grpc.ClientConn, error) {
	schedulers := manual.NewBuilderWithScheme("quorate")
	var state resolver.State
	for _, address := range addresses {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		// ServerName is what the certificate has to name.
		state.Addresses = append(state.Addresses, resolver.Address{Addr: address, ServerName: host})
	}
	schedulers.InitialState(state)
	reconnect := backoff.Config{BaseDelay: watchPause, Multiplier: 2, Jitter: 0.2, MaxDelay: time.Second}
	// Pings find out that a scheduler is frozen or cut off.
	pings := keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}
	security, err := transport()
	if err != nil {
		return nil, err
	}
	return grpc.Dial("quorate:///schedulers", security,
		grpc.WithResolvers(schedulers),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(mostBytes)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: callTimeout}),
		grpc.WithKeepaliveParams(pings))
}

// transport is TLS where QUORATE_TLS_CA_FILE, _CERT_FILE and _KEY_FILE say so, as the command
// `quorate` has it; plaintext where they do not.
func transport() (grpc.DialOption, error) {
	authority := os.Getenv("QUORATE_TLS_CA_FILE")
	if authority == "" {
		return grpc.WithInsecure(), nil
	}
	pem, err := os.ReadFile(authority)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", authority)
	}
	if file := os.Getenv("QUORATE_TLS_CERT_FILE"); file != "" {
		own, err := tls.LoadX509KeyPair(file, os.Getenv("QUORATE_TLS_KEY_FILE"))
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{own}
	}
	return grpc.WithTransportCredentials(credentials.NewTLS(config)), nil
}
