// SPDX-License-Identifier: Apache-2.0

// Package toxiproxy runs the TCP proxy of that name, which holds bytes back, for tests and benchmarks.
//
// It guarantees nothing about how exact a delay is, and trusts whoever can reach the loopback interface: the proxy's own
// interface knows no password.
package toxiproxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"
)

// Server is one that runs.
type Server struct {
	cmd   *exec.Cmd
	api   string
	ended chan struct{}
}

// Start runs the program, whose output goes to the file log.
func Start(ctx context.Context, program, log string) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close() // it takes no listener
	output, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	s := &Server{api: "http://127.0.0.1:" + port, ended: make(chan struct{})}
	s.cmd = exec.Command(program, "-host", "127.0.0.1", "-port", port)
	s.cmd.Env = append(os.Environ(), "LOG_LEVEL=error")
	s.cmd.Stdout, s.cmd.Stderr = output, output
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.cmd.Wait()
		close(s.ended)
	}()
	for look := time.NewTicker(20 * time.Millisecond); ; {
		if s.ask(ctx, http.MethodGet, "/version", nil, nil) == nil {
			return s, nil
		}
		select {
		case <-look.C:
		case <-s.ended:
			return nil, fmt.Errorf("%s ended: see %s", program, log)
		case <-ctx.Done():
			s.Stop()
			return nil, ctx.Err()
		}
	}
}

// Stop ends it, and all connections through it.
func (s *Server) Stop() {
	s.cmd.Process.Kill()
	<-s.ended
}

// Add puts a proxy before an address, and returns its own. It does not delay yet.
func (s *Server) Add(ctx context.Context, name, upstream string) (string, error) {
	var made struct{ Listen string }
	proxy := map[string]any{"name": name, "listen": "127.0.0.1:0", "upstream": upstream, "enabled": true}
	if err := s.ask(ctx, http.MethodPost, "/proxies", proxy, &made); err != nil {
		return "", err
	}
	for _, stream := range []string{"upstream", "downstream"} {
		toxic := map[string]any{"name": stream, "type": "latency", "stream": stream, "toxicity": 1, "attributes": map[string]int{"latency": 0}}
		if err := s.ask(ctx, http.MethodPost, "/proxies/"+name+"/toxics", toxic, nil); err != nil {
			return "", err
		}
	}
	return made.Listen, nil
}

// Delay sets how long a proxy holds bytes back, in each direction.
func (s *Server) Delay(ctx context.Context, name string, delayMs int) error {
	for _, stream := range []string{"upstream", "downstream"} {
		toxic := map[string]any{"attributes": map[string]int{"latency": delayMs}}
		if err := s.ask(ctx, http.MethodPost, "/proxies/"+name+"/toxics/"+stream, toxic, nil); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) ask(ctx context.Context, method, path string, question, into any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, s.api+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	switch {
	case err != nil:
		return err
	case response.StatusCode/100 != 2:
		return fmt.Errorf("toxiproxy answers %s to %s: %s", response.Status, path, answer)
	case into == nil:
		return nil
	}
	return json.Unmarshal(answer, into)
}
