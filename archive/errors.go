// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"errors"

	"github.com/coffer-backup/coffer/archive/format"
)

// What can go wrong, for errors.Is. Errors of the destination are those of package blob.
var (
	ErrWrongKey    = format.ErrWrongKey // whole archive, other key
	ErrDamaged     = format.ErrDamaged  // an object is altered, truncated, swapped or missing
	ErrVersion     = format.ErrVersion  // made by a newer program
	ErrNoArchive   = errors.New("no archive at this destination")
	ErrExists      = errors.New("an archive is already there")
	ErrRolledBack  = errors.New("the destination holds an older state of the archive than this device has seen")
	ErrLocked      = errors.New("another device is working on the archive")
	ErrKeyReplaced = errors.New("this key has been replaced by a newer one")
	ErrNoSnapshot  = errors.New("no such snapshot")
	ErrNoPath      = errors.New("no such path in the snapshot")
	ErrOccupied    = errors.New("files are in the way")
	ErrConcurrent  = errors.New("another run changed the archive meanwhile; run again")
	ErrNoSpace     = errors.New("no space left on this device") // here, not at the destination
)
