// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"errors"
	"io"
	"net"
	"reflect"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The same frames arrive through a Pipe and through a socket.
func TestFramesArrive(t *testing.T) {
	for name, pair := range map[string]func(*testing.T) (*Conn, *Conn){
		"pipe":   func(*testing.T) (*Conn, *Conn) { return Pipe() },
		"socket": socketPair,
	} {
		t.Run(name, func(t *testing.T) { rapid.Check(t, func(rt *rapid.T) { exchange(t, rt, pair) }) })
	}
}

// exchange sends frames both ways at once, more than the buffers hold.
func exchange(t *testing.T, rt *rapid.T, pair func(*testing.T) (*Conn, *Conn)) {
	host, core := pair(t)
	defer host.Close()
	defer core.Close()
	sizes := rapid.SliceOfN(rapid.IntRange(0, 600_000), 1, 8).Draw(rt, "sizes")
	var frames []Frame
	for i, size := range sizes {
		frames = append(frames, samples[i%len(samples)].frame, Load{[]byte{byte(i)}, make([]byte, size)})
	}
	sent := make(chan error, 2)
	for _, conn := range []*Conn{host, core} {
		go func() { sent <- send(conn, frames) }()
	}
	results := make(chan error, 2)
	for _, conn := range []*Conn{host, core} {
		go func() { results <- receive(conn, frames) }()
	}
	for range 2 {
		if err := errors.Join(<-sent, <-results); err != nil {
			rt.Error(err)
		}
	}
}

func send(conn *Conn, frames []Frame) error {
	for _, f := range frames {
		if err := conn.Write(f); err != nil {
			return err
		}
	}
	return conn.Flush()
}

func receive(conn *Conn, frames []Frame) error {
	var got []Frame
	for range frames {
		f, err := conn.Read()
		if err != nil {
			return err
		}
		got = append(got, f)
	}
	if !reflect.DeepEqual(got, frames) { // at the end: what was handed out stayed
		return errors.New("other frames arrived")
	}
	return nil
}

func socketPair(t *testing.T) (host, core *Conn) {
	t.Helper()
	listener, err := net.Listen("unix", t.TempDir()+"/core")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialed, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return NewConn(dialed), NewConn(accepted)
}

func TestCloseUnblocksBothEnds(t *testing.T) {
	for name, wait := range map[string]func(*Conn) error{
		"readers": func(c *Conn) error { _, err := c.Read(); return err },
		"writers": func(c *Conn) error {
			return send(c, []Frame{Load{[]byte("k"), make([]byte, pipeSize+bufferSize)}})
		},
	} {
		for end := range 2 {
			host, core := Pipe()
			closer := []*Conn{host, core}[end]
			ended := make(chan error, 2)
			go func() { ended <- wait(host) }()
			go func() { ended <- wait(core) }()
			if err := closer.Close(); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := <-ended; !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}

func TestWhatWasSentBeforeCloseIsRead(t *testing.T) {
	host, core := Pipe()
	if err := errors.Join(send(core, []Frame{Fatal{"why"}}), core.Close()); err != nil {
		t.Fatal(err)
	}
	if f, err := host.Read(); err != nil || f != (Fatal{"why"}) {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := host.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if err := send(host, []Frame{Stop{}}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a write to nobody: %v", err)
	}
}
