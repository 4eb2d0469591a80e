// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// nameRules say which names a file system can hold. A memory stick has other rules than the disk, whatever the system.
type nameRules struct {
	folds   bool // takes names for equal that differ in case or normalisation
	windows bool // refuses what Windows does
	text    bool // refuses what is not UTF-8
	wide    bool // counts a name's length in UTF-16, not in bytes
}

// usualRules are those of the system's own disk.
func usualRules() nameRules {
	switch runtime.GOOS {
	case "windows":
		return nameRules{folds: true, windows: true, text: true, wide: true}
	case "darwin", "ios":
		return nameRules{folds: true, text: true}
	}
	return nameRules{}
}

// tryRules finds the rules of the file system that a folder is on by naming a file in it.
func tryRules(dir *os.Root) (nameRules, error) {
	name := "Try-\u00e9"
	f, err := dir.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nameRules{}, err
	}
	f.Close()
	defer func() { dir.Remove(name) }()
	there := func(name string) bool {
		_, err := dir.Lstat(name)
		return err == nil
	}
	holds := func(next string) bool {
		if dir.Rename(name, next) != nil {
			return false
		}
		name = next
		return there(next)
	}
	rules := nameRules{folds: there("try-\u00e9") || there("Try-e\u0301")}
	rules.windows = usualRules().windows || !holds(`<>:"|?*\`)
	rules.text = rules.windows || usualRules().text || !holds("\xff")
	rules.wide = holds(strings.Repeat("\u3042", maxName))
	return rules, nil
}

// maxName is how many bytes, or elements of UTF-16, all usual file systems allow in a name.
const maxName = 255

// escape returns a name that the file system can hold, and why if it is another. What it cannot hold becomes %XX, or if the
// name is too long its end becomes a hash. Names that look escaped are escaped themselves: so different names stay different.
func (r nameRules) escape(name string) (escaped, why string) {
	escaped = r.percent(name)
	if escaped != name {
		why = "this file system cannot hold the name"
	}
	if !r.fits(escaped) {
		return r.hashed(name), "the name is too long for this file system"
	}
	if endsInHash(escaped) {
		return r.hashed(name), "the name looks like an escaped one"
	}
	return escaped, why
}

func (r nameRules) fits(name string) bool {
	if r.wide {
		return len(utf16.Encode([]rune(name))) <= maxName
	}
	return len(name) <= maxName
}

const hashDigits = 16

// hashed returns a name that no other name is escaped to.
func (r nameRules) hashed(name string) string {
	sum := sha256.Sum256([]byte(name))
	begin := r.percent(name)
	if len(begin) > maxName-1-hashDigits {
		begin = strings.ToValidUTF8(begin[:maxName-1-hashDigits], "")
	}
	return begin + "~" + hex.EncodeToString(sum[:hashDigits/2])
}

func endsInHash(name string) bool {
	at := len(name) - 1 - hashDigits
	return at >= 0 && name[at] == '~' && strings.Trim(name[at+1:], "0123456789abcdef") == ""
}

// percent escapes the bytes of a name that the file system cannot hold.
func (r nameRules) percent(name string) string {
	if !r.windows && !r.text {
		return name
	}
	var sb strings.Builder
	for i := 0; i < len(name); {
		c, n := utf8.DecodeRuneInString(name[i:])
		switch {
		case c == utf8.RuneError && n == 1,
			c == '%' && looksEscaped(name[i:]),
			r.windows && (c < ' ' || strings.ContainsRune(`<>:"\|?*`, c)),
			r.windows && (c == '.' || c == ' ') && i == len(name)-1,
			r.windows && i == 0 && isDevice(name):
			for _, b := range []byte(name[i : i+n]) {
				fmt.Fprintf(&sb, "%%%02X", b)
			}
		default:
			sb.WriteString(name[i : i+n])
		}
		i += n
	}
	return sb.String()
}

func looksEscaped(s string) bool {
	return len(s) >= 3 && strings.Trim(s[1:3], "0123456789ABCDEF") == ""
}

// isDevice tells whether Windows takes a name for a device, whatever its extension.
func isDevice(name string) bool {
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	stem = strings.TrimRight(stem, " ")
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	for _, port := range []string{"COM", "LPT"} {
		if digit, ok := strings.CutPrefix(stem, port); ok && strings.Contains("0123456789\u00b9\u00b2\u00b3", digit) && utf8.RuneCountInString(digit) == 1 {
			return true
		}
	}
	return false
}

// fold maps names to one that differ in case or normalisation only: Unicode's canonical caseless matching.
func fold(name string) string {
	return norm.NFC.String(cases.Fold().String(norm.NFD.String(name)))
}
