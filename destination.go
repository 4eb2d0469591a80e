// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/folder"
)

var scheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)

// OpenDestination opens the destination that a text names: the path of a folder.
// With create, a folder that does not exist is made. The folder that it is in must exist: where it does not, a disk
// is most likely not mounted, and what is made in its place would fill another one.
//
// Errors wrap ErrDestination if the text names none that we can use, else those of package blob.
func OpenDestination(_ context.Context, destination string, create bool) (blob.Store, error) {
	path, err := canonicalDestination(destination)
	if err != nil {
		return nil, err
	}
	if create {
		if _, err := os.Stat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: the folder %s does not exist; connect or mount its disk, or create it", blob.ErrUnreachable, filepath.Dir(path))
		}
		return nonNil(folder.Create(path))
	}
	return nonNil(folder.Open(path))
}

// nonNil keeps a nil *folder.Store from becoming a blob.Store that is not nil.
func nonNil(s *folder.Store, err error) (blob.Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// canonicalDestination makes a path absolute, so that it means the same wherever a later backup is started.
func canonicalDestination(destination string) (string, error) {
	if destination == "" {
		return "", fmt.Errorf("%w: the text is empty; give the path of a folder", ErrDestination)
	}
	if found := scheme.FindString(destination); found != "" {
		return "", fmt.Errorf("%w: %s is not supported; give the path of a folder, such as that of a mounted disk", ErrDestination, found)
	}
	return filepath.Abs(destination)
}
