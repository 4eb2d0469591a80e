// SPDX-License-Identifier: Apache-2.0

//go:build !darwin && (!linux || android)

package source

import "os"

// open opens a path for reading, as far as the system can without following a link in its last element.
func open(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDONLY|openFlags, 0) }
