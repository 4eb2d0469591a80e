// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// withPeer returns a client whose helper is run. It gets the frames of the client, and ends the test's helper by an error.
func withPeer(t *testing.T, run func(ask func() frame, answer func(frame))) *Store {
	t.Helper()
	fromClient, toHelper := io.Pipe()
	fromHelper, toClient := io.Pipe()
	gone := make(chan struct{})
	kill := func() {
		fromHelper.Close()
		fromClient.Close()
	}
	go func() {
		defer close(gone)
		defer toClient.Close()
		in := bufio.NewReader(fromClient)
		ask := func() frame {
			body, err := readBody(in)
			if err != nil {
				return nil
			}
			f, err := decodeRequest(body)
			if err != nil {
				t.Errorf("the client sends % x", body)
			}
			return f
		}
		answer := func(f frame) { _, _ = toClient.Write(encode(f)) }
		if h, ok := ask().(hello); !ok || h.version != Version || h.bytesPerSecond != 258 {
			t.Errorf("hello: %+v", h)
		}
		answer(welcome{Version, "a helper"})
		run(ask, answer)
		for ask() != nil { // until the client goes
		}
	}()
	on, err := newSession(t.Context(), fromHelper, toHelper, peer{kill, gone, func() string { return "over" }}, 258, hasty)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		on.fail(errClosed)
		<-gone
	})
	s := &Store{config: Config{Command: []string{"none of this name"}}, patience: hasty, name: on.name, turn: make(chan struct{}, 1), session: on}
	return s
}

// TestAnswersMustFit: a helper cannot make a client believe what it did not ask for. Requests have the id 1.
func TestAnswersMustFit(t *testing.T) {
	x := []info{{"x", 1, 1}}
	for name, c := range map[string]struct {
		call    string
		answers []frame
	}{
		"another's answer":           {"put", []frame{done{2, codeOK, ""}}},
		"no id":                      {"delete", []frame{done{0, codeOK, ""}}},
		"put not found":              {"put", []frame{done{1, codeNotFound, ""}}},
		"put at the end":             {"put", []frame{done{1, codeEnd, ""}}},
		"put before it came":         {"put", []frame{done{1, codeOK, ""}}},
		"pieces of a put":            {"put", []frame{piece{1, []byte("x")}}},
		"pages of a put":             {"put", []frame{page{1, x}}},
		"read exists":                {"read", []frame{done{1, codeExists, ""}}},
		"read of nothing":            {"read", []frame{done{1, codeOK, ""}}},
		"read too little":            {"read", []frame{piece{1, make([]byte, 9)}, done{1, codeOK, ""}}},
		"read too much":              {"read", []frame{piece{1, make([]byte, 11)}}},
		"read too much in pieces":    {"read", []frame{piece{1, make([]byte, 10)}, piece{1, make([]byte, 1)}}},
		"read all, and says the end": {"read", []frame{piece{1, make([]byte, 10)}, done{1, codeEnd, ""}}},
		"delete exists":              {"delete", []frame{done{1, codeExists, ""}}},
		"delete at the end":          {"delete", []frame{done{1, codeEnd, ""}}},
		"list not found":             {"list", []frame{done{1, codeNotFound, ""}}},
		"list of a bad name":         {"list", []frame{done{1, codeName, ""}}},
		"pieces of a list":           {"list", []frame{piece{1, []byte("x")}}},
		"too many pages":             {"list", []frame{page{1, x}, page{1, x}, page{1, x}, page{1, x}}},
		"second hello":               {"list", []frame{welcome{Version, "x"}}},
		"late refusal":               {"list", []frame{refuse{codeOther, "x"}}},
		"pong without a ping":        {"delete", []frame{pong{}, pong{}, pong{}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := withPeer(t, func(ask func() frame, answer func(frame)) {
				ask()
				for _, f := range c.answers {
					answer(f)
				}
			})
			on := s.session
			var err error
			if c.call == "list" {
				for _, err = range s.List(t.Context(), "") {
					<-on.life.Done() // read no more pages
				}
			} else {
				err = calls[c.call](t.Context(), s)
			}
			<-on.life.Done()
			if cause := context.Cause(on.life); !errors.Is(cause, errBroken) || !errors.Is(cause, blob.ErrUnreachable) {
				t.Errorf("the session ends with %v", cause)
			}
			if !errors.Is(err, errBroken) {
				t.Error(err)
			}
		})
	}
	t.Run("list of another prefix", func(t *testing.T) {
		s := withPeer(t, func(ask func() frame, answer func(frame)) {
			ask()
			answer(page{1, []info{{"d/x", 1, 1}, {"x", 1, 1}}})
		})
		for _, err := range s.List(t.Context(), "d/") {
			if !errors.Is(err, errBroken) {
				t.Error(err)
			}
		}
	})
}

func TestErrorsComeThrough(t *testing.T) {
	for c, class := range classes {
		for _, text := range []string{"", "because"} {
			s := withPeer(t, func(ask func() frame, answer func(frame)) {
				ask()
				answer(done{1, c, text})
			})
			o := opDelete
			call := func() error { return s.Delete(t.Context(), "x") }
			if !c.fits(opDelete) {
				o, call = opPut, func() error { return s.Put(t.Context(), "x", nil) }
			}
			err := call()
			if !errors.Is(err, class) || !strings.Contains(err.Error(), text) || len(err.Error()) > 2*maxText {
				t.Errorf("%s, code %d: %v", o, c, err)
			}
			if got, _ := codeOf(o, err); got != c && c != codeCancelled {
				t.Errorf("code %d comes back as %d", c, got)
			}
		}
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "",
		"a\x1b[2J\r\nb\u202e\xff": "a [2J  b  ",
		strings.Repeat("é", 600):  strings.Repeat("é", 510) + "…",
	} {
		if got := printable(text); got != want || !validText(got) {
			t.Errorf("%q is made %q", text, got)
		}
	}
}

// served runs Serve over store and returns a client's end: what is sent, and what comes back.
func servedTo(t *testing.T, store blob.Store) (send func(...frame), answers <-chan frame, ended <-chan error) {
	t.Helper()
	fromClient, toHelper := io.Pipe()
	fromHelper, toClient := io.Pipe()
	end, got := make(chan error, 1), make(chan frame, 1000)
	go func() {
		err := Serve(t.Context(), store, fromClient, toClient)
		fromClient.Close()
		toClient.Close()
		end <- err
	}()
	go func() {
		defer close(got)
		for in := bufio.NewReader(fromHelper); ; {
			f, err := readAnswer(in)
			if err != nil {
				return
			}
			got <- f
		}
	}()
	t.Cleanup(func() { toHelper.Close() })
	return func(frames ...frame) {
		for _, f := range frames {
			if f == nil {
				toHelper.Close()
			} else if _, err := toHelper.Write(encode(f)); err != nil {
				return
			}
		}
	}, got, end
}

// TestServeRefuses: a client that breaks the protocol is served no longer, and no bound is passed.
func TestServeRefuses(t *testing.T) {
	hi := hello{Version, 0}
	many := []frame{hi}
	for i := range budget/requestCost + 1 {
		many = append(many, put{uint64(i), 1, "x"})
	}
	lists := []frame{hi}
	for i := range maxLists + 1 {
		lists = append(lists, list{uint64(i), ""})
	}
	for name, frames := range map[string][]frame{
		"no hello":               {ping{}},
		"hello twice":            {hi, hi},
		"another version":        {hello{Version + 1, 0}},
		"a limit":                {hello{Version, 1}},
		"bytes for nothing":      {hi, chunk{1, []byte("x")}},
		"too many bytes":         {hi, put{1, 3, "x"}, chunk{1, []byte("four")}},
		"bytes after a cancel":   {hi, put{1, 3, "x"}, cancel{1}, chunk{1, []byte("x")}},
		"one id twice":           {hi, put{1, 3, "x"}, read{1, 0, 1, "x"}},
		"pages of a put":         {hi, put{1, 3, "x"}, more{1}},
		"too many requests":      many,
		"too many bytes at once": {hi, put{1, MaxObjectBytes, "x"}, put{2, MaxObjectBytes - 2*requestCost, "y"}, put{3, 1, "z"}},
		"too many lists":         lists,
	} {
		// The lists must not end by themselves.
		store := &waiting{Store: blobtest.Memory()}
		send, answers, ended := servedTo(t, store)
		send(frames...)
		if err := <-ended; err == nil {
			t.Errorf("%s: nothing is wrong", name)
		}
		for range answers {
		}
	}
}

// waiting waits in List until it is cancelled, and counts how many do.
type waiting struct {
	blob.Store
	lists atomic.Int64
}

func (w *waiting) List(ctx context.Context, _ string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		w.lists.Add(1)
		<-ctx.Done()
		w.lists.Add(-1)
		yield(blob.Info{}, ctx.Err())
	}
}

func TestServeEndsWithItsClient(t *testing.T) {
	store := &waiting{Store: blobtest.Memory()}
	send, answers, ended := servedTo(t, store)
	send(hello{Version, 0}, list{1, ""}, put{2, 3, "x"}, put{3, 0, "y"}, cancel{2}, cancel{7}, more{7})
	for f := range answers {
		if d, ok := f.(done); ok && d.id == 3 {
			break
		}
	}
	send(nil)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := store.lists.Load(); n != 0 {
		t.Errorf("%d lists are still open", n)
	}
	if _, err := store.ReadAt(t.Context(), "x", nil, 0); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("a cancelled put: %v", err)
	}
}

// limited notes the limit that it is told.
type limited struct {
	blob.Store
	limit int64
}

func (l *limited) LimitUpload(bytesPerSecond int64) { l.limit = bytesPerSecond }

func TestUploadLimit(t *testing.T) {
	store := &limited{Store: blobtest.Memory()}
	send, answers, ended := servedTo(t, store)
	send(hello{Version, 258})
	<-answers
	send(nil)
	if err := <-ended; err != nil || store.limit != 258 {
		t.Errorf("limit %d, %v", store.limit, err)
	}
	c := config(t, "memory")
	c.UploadBytesPerSecond = 1
	if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "cannot limit uploads") {
		t.Errorf("a helper that cannot: %v", err)
	}
}
