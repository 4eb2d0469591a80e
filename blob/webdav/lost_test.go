// SPDX-License-Identifier: Apache-2.0

package webdav_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
	"github.com/coffer-backup/coffer/blob/blobtest/faultnet"
	"github.com/coffer-backup/coffer/blob/webdav"
)

// TestFaultAtEachStep has one fault happen to each request of a Put, a read and a Delete. The caller notices nothing: above all, a
// Put whose answer was lost is not taken for another writer's. All cases run at once, since each waits to try again.
func TestFaultAtEachStep(t *testing.T) {
	server := startApache(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<12)
	var cases sync.WaitGroup
	faults := []faultnet.Fault{faultnet.Unanswered, faultnet.CutRequest, faultnet.CutAnswer, faultnet.Failed, faultnet.Lost, faultnet.Busy}
	if testing.Short() {
		faults = faults[:2]
	}
	for _, fault := range faults {
		for n := range steps {
			name := fmt.Sprintf("%d-%d", fault, n)
			config := server.config(name)
			if err := errors.Join(os.Mkdir(filepath.Join(server.folder, name), 0o777), os.Chmod(filepath.Join(server.folder, name), 0o777)); err != nil {
				t.Fatal(err)
			}
			net := faultnet.New(t, config.URL, faultnet.Nth(n+1, fault))
			config.URL = net.URL
			cases.Go(func() {
				if err := useAll(t, config, data); err != nil {
					t.Errorf("%v at request %d: %v", fault, n, err)
				}
				if net.Faults()[fault.String()] == 0 {
					t.Errorf("%v at request %d did not happen", fault, n)
				}
			})
		}
	}
	cases.Wait()
}

// steps is how many requests useAll makes at least.
const steps = 24

func useAll(t *testing.T, config webdav.Config, data []byte) error {
	s, err := webdav.Open(t.Context(), config)
	if err != nil {
		return err
	}
	if err := s.Put(t.Context(), "d/x", data); err != nil {
		return err
	}
	if got, err := blobtest.Read(t.Context(), s, "d/x"); err != nil || !bytes.Equal(got, data) {
		return fmt.Errorf("%d of %d bytes read: %w", len(got), len(data), err)
	}
	if err := s.Put(t.Context(), "d/x", []byte("other")); !errors.Is(err, blob.ErrExists) {
		return fmt.Errorf("second Put: %w", err)
	}
	if err := s.Delete(t.Context(), "d/x"); err != nil {
		return err
	}
	if infos, err := listed(t, s, ""); err != nil || len(infos) > 0 {
		return fmt.Errorf("%d objects listed after the Delete: %w", len(infos), err)
	}
	return nil
}
