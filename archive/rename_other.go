// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package archive

import "os"

// renameNew gives a file a name that nothing has yet, or fails with fs.ErrExist.
func renameNew(root *os.Root, from, to string) error { return renameIfFree(root, from, to) }
