// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"sync/atomic"
	"time"
)

// Progress is what a long operation has done so far. The operation writes it, anybody may read it meanwhile.
// The zero value is ready; one Progress serves one operation at a time.
type Progress struct {
	phase                                        atomic.Pointer[string]
	DoneBytes, TotalBytes, DoneFiles, TotalFiles atomic.Int64 // totals are 0 until known
}

// Phase names what is being done now, such as "reading databases"; empty before the start.
func (p *Progress) Phase() string {
	if s := p.phase.Load(); s != nil {
		return *s
	}
	return ""
}

// begin starts a phase. Totals of 0 mean unknown.
func (p *Progress) begin(phase string, totalBytes, totalFiles int64) {
	if p == nil {
		return
	}
	p.DoneBytes.Store(0)
	p.DoneFiles.Store(0)
	p.TotalBytes.Store(totalBytes)
	p.TotalFiles.Store(totalFiles)
	p.phase.Store(&phase)
}

func (p *Progress) add(bytes, files int64) {
	if p != nil {
		p.DoneBytes.Add(bytes)
		p.DoneFiles.Add(files)
	}
}

// A Problem is something of the source, the archive or the target that could not be handled as it should.
type Problem struct {
	Path   string      `json:"path"` // slash-separated, relative to the source; any bytes
	Kind   ProblemKind `json:"kind"`
	Detail string      `json:"detail"` // for people; holds no secret
}

// ProblemKind says what happened to a path.
type ProblemKind string

const (
	ProblemUnreadable  ProblemKind = "unreadable"   // permission or I/O error: not in the snapshot
	ProblemVanished    ProblemKind = "vanished"     // gone between listing and reading: not in the snapshot
	ProblemChanged     ProblemKind = "changed"      // changed while it was read: stored as read, possibly torn
	ProblemTorn        ProblemKind = "torn"         // a --database that never held still: stored as read, possibly torn
	ProblemNotDatabase ProblemKind = "not-database" // has the SQLite magic, SQLite cannot open it: stored as an ordinary file
	ProblemSkipped     ProblemKind = "skipped"      // device, socket, pipe: never stored
	ProblemRenamed     ProblemKind = "renamed"      // restored under another name, see Detail
	ProblemDamaged     ProblemKind = "damaged"      // the archive holds it damaged or not at all
)

// BackupReport says what one run of Backup did.
type BackupReport struct {
	Snapshot     ID        `json:"snapshot"`  // the new snapshot, or the unchanged newest one
	Unchanged    bool      `json:"unchanged"` // nothing had changed, nothing was written
	Started      time.Time `json:"started"`
	Finished     time.Time `json:"finished"`
	Files        int64     `json:"files"`        // all entries of the snapshot
	SourceBytes  int64     `json:"source_bytes"` // size of all files of the snapshot
	ReadBytes    int64     `json:"read_bytes"`   // bytes read from the source by this run
	AddedBytes   int64     `json:"added_bytes"`  // bytes written to the destination
	AddedObjects int64     `json:"added_objects"`
	ReusedPacks  int64     `json:"reused_packs"` // packs of an unfinished run that were adopted
	Problems     []Problem `json:"problems"`
	Notices      []string  `json:"notices"` // for people: a merged fork, a healed pack, a dead lock taken over
}

// Torn reports whether a database or file may be torn in this snapshot.
func (r *BackupReport) Torn() bool {
	for _, p := range r.Problems {
		if p.Kind == ProblemTorn || p.Kind == ProblemChanged {
			return true
		}
	}
	return false
}

// RestoreReport says what one run of Restore did.
type RestoreReport struct {
	Snapshot ID        `json:"snapshot"`
	Files    int64     `json:"files"`   // entries in place now
	Skipped  int64     `json:"skipped"` // of these, already in place from an interrupted restore
	Bytes    int64     `json:"bytes"`
	Problems []Problem `json:"problems"`
}

// VerifyReport says what Verify found. It is sound if Damage is empty.
type VerifyReport struct {
	Generation  uint64     `json:"generation"`
	Snapshots   int        `json:"snapshots"`
	Objects     int64      `json:"objects"`    // objects looked at
	ReadBytes   int64      `json:"read_bytes"` // bytes read from the destination
	Damage      []Damage   `json:"damage"`
	Affected    []Affected `json:"affected"` // files of snapshots that the damage reaches
	Orphans     int64      `json:"orphans"`  // objects that no head refers to: left by a killed backup; prune removes them
	OrphanBytes int64      `json:"orphan_bytes"`
	Notices     []string   `json:"notices"`
}

// Damage is one broken, missing or foreign object.
type Damage struct {
	Object string `json:"object"` // its name at the destination
	Detail string `json:"detail"`
}

// Affected is one path of one snapshot that cannot be restored whole.
type Affected struct {
	Snapshot ID     `json:"snapshot"`
	Path     string `json:"path"`
}

// PruneReport says what Prune did, or with DryRun would do.
type PruneReport struct {
	Removed        []SnapshotInfo `json:"removed"` // snapshots that are forgotten
	Kept           []SnapshotInfo `json:"kept"`
	MarkedObjects  int64          `json:"marked_objects"` // newly marked; deleted by a later run, after the grace period
	MarkedBytes    int64          `json:"marked_bytes"`
	DeletedObjects int64          `json:"deleted_objects"`
	DeletedBytes   int64          `json:"deleted_bytes"`
	RepackedBytes  int64          `json:"repacked_bytes"` // live bytes moved out of mostly dead packs
}

// RepairReport says what Repair did.
type RepairReport struct {
	Fetched []string   `json:"fetched"` // objects copied whole from the other destination
	Rebuilt []string   `json:"rebuilt"` // objects made anew from what the archive holds
	Dropped []string   `json:"dropped"` // damaged objects taken out of the archive; the next backup heals what the source still has
	Lost    []Affected `json:"lost"`    // what no destination given has whole
	Notices []string   `json:"notices"`
}
