// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/archive/archivetest"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest/faultnet"
)

// TestArchiveThroughFaults is the archive's fault table at the wire.
func TestArchiveThroughFaults(t *testing.T) {
	config := realConfig()
	direct := create(t, config)
	archivetest.Faults(t, func(t *testing.T, plan faultnet.Plan) (blob.Store, *faultnet.Net) {
		if plan == nil {
			return direct, nil
		}
		net := faultnet.New(t, "http://"+config.Endpoint, plan)
		through := config
		through.Endpoint = strings.TrimPrefix(net.URL, "http://")
		s, err := Open(t.Context(), through)
		if err != nil {
			t.Fatal(err)
		}
		return s, net
	})
}
