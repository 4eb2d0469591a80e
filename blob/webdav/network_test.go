// SPDX-License-Identifier: Apache-2.0

package webdav_test

import (
	"testing"

	"github.com/coffer-backup/coffer/archive/archivetest"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest/faultnet"
)

// TestArchiveThroughFaults is the archive's fault table at the wire.
func TestArchiveThroughFaults(t *testing.T) {
	config, _ := create(t)
	archivetest.Faults(t, func(t *testing.T, plan faultnet.Plan) (blob.Store, *faultnet.Net) {
		if plan == nil {
			return open(t, config), nil
		}
		net := faultnet.New(t, config.URL, plan)
		through := config
		through.URL = net.URL
		return open(t, through), net
	})
}
