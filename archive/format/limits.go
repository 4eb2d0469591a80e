// SPDX-License-Identifier: Apache-2.0

package format

// Limits of version 1. A decoder refuses what is over them, so that no object can make a reader take more memory than
// the object's own size and these allow.
const (
	MaxObjectSize  = 64 << 20                                 // any object but a pack, sealed
	MaxPlain       = MaxObjectSize - HeaderSize - 4 - tagSize // what such an object may hold
	MaxPackSize    = 16 << 20                                 // a pack, sealed and padded
	SegmentSize    = 4 << 20                                  // files are cut at multiples of this
	GroupSize      = 1 << 20                                  // pages of a database are stored in groups of at most this
	MaxRecordSize  = 4 << 20                                  // content of one record, decompressed
	MaxPath        = 64 << 10                                 // bytes of a path
	MaxTarget      = 64 << 10                                 // bytes of a symbolic link's target
	MaxEpochs      = 1024                                     // master keys of one archive
	MaxLayers      = 32                                       // layers of one database version
	MaxInlineIDs   = 64                                       // segments named in the entry itself; more go through lists
	ListSegments   = MaxRecordSize / 32
	MaxProblems    = 5000 // problems kept in a snapshot; at their largest they leave room for its leaves
	MaxText        = 4096 // bytes of what a snapshot says to people: source, path and detail of a problem
	MaxLabel       = 64   // bytes of a problem's kind, of an operation's name
	MaxHost        = 256  // bytes of a host's name
	MaxParents     = 16   // heads that one head follows
	MaxLeafEntries = 1024
	MinPageSize    = 512
	MaxPageSize    = 65536
	MaxFileSize    = 1 << 52 // bytes of a file; counts of its segments fit 31 bits
)
