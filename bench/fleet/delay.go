// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// proxies are what stands before the nodes of a fleet.
type proxies struct {
	cmd   *exec.Cmd
	api   string
	ended chan struct{}
}

// goAway restarts a fleet so that every node, and the gateway, reaches each other by a proxy.
func (f *fleet) goAway(ctx context.Context) (*proxies, error) {
	list := f.statuses(ctx)
	if err := f.stop(); err != nil {
		return nil, err
	}
	p, err := f.startProxies(ctx)
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, s := range list {
		address, err := p.add(ctx, fmt.Sprintf("node-%d", s.Slot), s.Address)
		if err == nil {
			err = advertise(f.config(int(s.Slot)), address)
		}
		if err != nil {
			return nil, errors.Join(err, p.stop())
		}
		addresses = append(addresses, address)
	}
	if err = f.start(ctx); err == nil {
		err = f.until(ctx, time.Minute, "uses the proxies", func() bool { return f.usesOnly(ctx, addresses) })
	}
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

func (f *fleet) usesOnly(ctx context.Context, addresses []string) bool {
	for _, s := range f.statuses(ctx) {
		for _, p := range s.Peers {
			if !p.Connected || !slices.Contains(addresses, p.Address) {
				return false
			}
		}
	}
	return true
}

// advertise has a node tell the others another address than it listens at. It goes before the file's first table.
func advertise(file, address string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(fmt.Appendf(nil, "advertise = %q\n", address), text...), 0o600)
}

func (f *fleet) startProxies(ctx context.Context) (*proxies, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close() // it takes no listener
	p := &proxies{api: "http://127.0.0.1:" + port, ended: make(chan struct{})}
	p.cmd = exec.Command(filepath.Join(f.bin, "toxiproxy-server"), "-host", "127.0.0.1", "-port", port)
	p.cmd.Env = append(os.Environ(), "LOG_LEVEL=error")
	if err := begin(p.cmd, filepath.Join(f.dir, "proxy-log")); err != nil {
		return nil, err
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	for look := time.NewTicker(20 * time.Millisecond); ; {
		if p.ask(ctx, http.MethodGet, "/version", nil, nil) == nil {
			return p, nil
		}
		select {
		case <-look.C:
		case <-p.ended:
			return nil, fmt.Errorf("toxiproxy-server ended: see %s", filepath.Join(f.dir, "proxy-log"))
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), p.stop())
		}
	}
}

func (p *proxies) stop() error {
	p.cmd.Process.Kill()
	<-p.ended
	return nil
}

// add puts a proxy before an address, and returns its own.
func (p *proxies) add(ctx context.Context, name, upstream string) (string, error) {
	var made struct{ Listen string }
	proxy := map[string]any{"name": name, "listen": "127.0.0.1:0", "upstream": upstream, "enabled": true}
	if err := p.ask(ctx, http.MethodPost, "/proxies", proxy, &made); err != nil {
		return "", err
	}
	for _, stream := range []string{"upstream", "downstream"} {
		toxic := map[string]any{"name": stream, "type": "latency", "stream": stream, "toxicity": 1, "attributes": map[string]int{"latency": 0}}
		if err := p.ask(ctx, http.MethodPost, "/proxies/"+name+"/toxics", toxic, nil); err != nil {
			return "", err
		}
	}
	return made.Listen, nil
}

// set sets the delay of each direction of every proxy.
func (p *proxies) set(ctx context.Context, replicas, delayMs int) error {
	for slot := range replicas {
		for _, stream := range []string{"upstream", "downstream"} {
			toxic := map[string]any{"attributes": map[string]int{"latency": delayMs}}
			if err := p.ask(ctx, http.MethodPost, fmt.Sprintf("/proxies/node-%d/toxics/%s", slot+1, stream), toxic, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *proxies) ask(ctx context.Context, method, path string, question, into any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, p.api+path, bytes.NewReader(body))
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
