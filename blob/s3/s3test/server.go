// SPDX-License-Identifier: Apache-2.0

// Package s3test runs a real S3 server, versitygw, on a loopback address, for tests and benchmarks.
//
// It guarantees that the server is gone when its user is, and that nobody but who knows its random keys can use it.
// It trusts the go command to build the server from the module in tools.
package s3test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Server is a running one. All buckets of its keys are its own.
type Server struct {
	Endpoint             string // IP:PORT, plain HTTP
	AccessKey, SecretKey string

	cmd    *exec.Cmd
	stdin  io.Closer
	ended  chan struct{}
	output bytes.Buffer // read when it has ended
}

// Start begins a server that keeps its buckets in and below dir.
func Start(ctx context.Context, dir string) (*Server, error) {
	path, err := build(ctx)
	if err != nil {
		return nil, err
	}
	for range 5 {
		// Somebody else may take the port between the two.
		var s *Server
		if s, err = start(ctx, path, dir); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// build returns where the go command keeps the built server.
func build(ctx context.Context) (string, error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the tools: %w", err)
	}
	tools := filepath.Join(filepath.Dir(strings.TrimSpace(string(mod))), "tools")
	cmd := exec.CommandContext(ctx, "go", "-C", tools, "tool", "-n", "s3server")
	cmd.Stderr = os.Stderr
	path, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build the S3 server: %w", err)
	}
	return strings.TrimSpace(string(path)), nil
}

func start(ctx context.Context, path, dir string) (*Server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &Server{Endpoint: address, AccessKey: rand.Text()[:20], SecretKey: rand.Text(), ended: make(chan struct{})}
	s.cmd = exec.Command(path, "-address", address, "-dir", dir)
	s.cmd.Env = append(os.Environ(), "ACCESS_KEY="+s.AccessKey, "SECRET_KEY="+s.SecretKey)
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.cmd.Wait()
		close(s.ended)
	}()
	if err := s.answers(ctx); err != nil {
		s.Stop()
		return nil, fmt.Errorf("the S3 server does not answer: %w\n%s", err, s.output.Bytes())
	}
	return s, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// answers waits until the server takes its keys.
func (s *Server) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	client, err := minio.New(s.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), MaxRetries: 1})
	if err != nil {
		return err
	}
	for {
		if _, err = client.ListBuckets(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-s.ended:
			return errors.New("it ended")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends the server, and returns when it is gone.
func (s *Server) Stop() {
	s.stdin.Close()
	select {
	case <-s.ended:
	case <-time.After(10 * time.Second):
		s.cmd.Process.Kill()
		<-s.ended
	}
}
