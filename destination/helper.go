// SPDX-License-Identifier: Apache-2.0

package destination

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/coffer-backup/coffer/blob"
)

// ErrNoHelper means that the helper program is not installed. It is a case of blob.ErrUnreachable.
var ErrNoHelper = fmt.Errorf("%w: its helper program coffer-rclone is not installed", blob.ErrUnreachable)

// findHelper returns the helper program. The one that was installed with this program comes first; one in the current folder never counts.
func (o *Opener) findHelper() (string, error) {
	if o.HelperPath != "" {
		return o.HelperPath, nil
	}
	name := "coffer-rclone"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	folder := "this program's folder"
	if self, err := os.Executable(); err == nil {
		folder = filepath.Dir(self)
		beside := filepath.Join(folder, name)
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w: it is neither in %s nor in PATH", ErrNoHelper, folder)
	}
	return path, nil
}
