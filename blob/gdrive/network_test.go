// SPDX-License-Identifier: Apache-2.0

package gdrive_test

import (
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/archive/archivetest"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest/faultnet"
	"github.com/coffer-backup/coffer/blob/gdrive"
)

// TestArchiveThroughFaults is the archive's fault table at the wire.
func TestArchiveThroughFaults(t *testing.T) {
	t.Parallel()
	s := start(t)
	direct := open(t, s)
	archivetest.Faults(t, func(t *testing.T, plan faultnet.Plan) (blob.Store, *faultnet.Net) {
		if plan == nil {
			return direct, nil
		}
		net := faultnet.New(t, s.URL, plan)
		through := config(s, "")
		through.Endpoint = strings.Replace(through.Endpoint, s.URL, net.URL, 1)
		store, err := gdrive.Open(t.Context(), through)
		if err != nil {
			t.Fatal(err)
		}
		return store, net
	})
}
