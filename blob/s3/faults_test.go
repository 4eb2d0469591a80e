// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// flaky loses requests, loses answers, cuts them, and says 503, each now and then.
type flaky struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func (f *flaky) RoundTrip(req *http.Request) (*http.Response, error) {
	f.mu.Lock()
	fault := f.rng.IntN(40)
	f.mu.Unlock()
	switch fault {
	case 0:
		return nil, io.ErrUnexpectedEOF
	case 1:
		return failure(req, 503, "SlowDown"), nil
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || fault > 4 {
		return resp, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || fault > 2 || len(text) < 2 {
		return nil, io.ErrUnexpectedEOF
	}
	return cut(resp, string(text[:len(text)/2])), nil
}

// TestFaults: the contract holds over a bad connection to a real server. Above all, of the writers of a name one is told that it
// won, also if the answer to its first try was lost.
func TestFaults(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := realConfig()
	create(t, c)
	c.HTTPClient = &http.Client{Transport: &flaky{rng: rand.New(rand.NewPCG(seed, 0))}}
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	const names, writers = 12, 4
	var wg sync.WaitGroup
	for i := range names {
		wg.Go(func() { raceFor(t, s, fmt.Sprint("x", i), writers) })
	}
	wg.Wait()
	if got, err := listed(t, s, ""); len(got) != names || err != nil {
		t.Errorf("List = %q, %v", got, err)
	}
	for i := range names {
		wg.Go(func() {
			if err := s.Delete(t.Context(), fmt.Sprint("x", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got, err := listed(t, s, ""); len(got) != 0 || err != nil {
		t.Errorf("List after Delete = %q, %v", got, err)
	}
}

func raceFor(t *testing.T, s *Store, name string, writers int) {
	var wg sync.WaitGroup
	var won atomic.Pointer[[]byte]
	for w := range writers {
		wg.Go(func() {
			data := bytes.Repeat([]byte{byte('a' + w)}, 10_000)
			switch err := s.Put(t.Context(), name, data); {
			case err == nil && !won.CompareAndSwap(nil, &data):
				t.Errorf("%s: two writers won", name)
			case err != nil && !errors.Is(err, blob.ErrExists):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := blobtest.Read(t.Context(), s, name)
	if won.Load() == nil || err != nil || !bytes.Equal(got, *won.Load()) {
		t.Errorf("%s: nobody won, or somebody else's object is there: %d bytes, %v", name, len(got), err)
	}
}
