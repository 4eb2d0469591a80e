// SPDX-License-Identifier: Apache-2.0

// Package kit makes the recovery kit: one page to print, with the backup key as
// digits and as a QR code, and what to do with it.
//
// It guarantees that the page needs nothing from outside and tells nothing to it: no
// script, no link, no font, and a policy that makes browsers keep it so. It trusts its
// caller to write the page where only the user reads it, for whoever has the page
// and the destination has the chats.
package kit

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"rsc.io/qr"
)

// Kit is what stands on the page.
type Kit struct {
	Digits  string  // 64 hexadecimal digits, in groups separated by spaces
	Archive string  // the archive's id
	Places  []Place // where it is
	Source  string
	Made    time.Time
	Restore string // the exact command that restores everything
}

// Place is one destination of the archive.
type Place struct {
	Destination string
	SignIn      string // the exact command that gives a new device access; empty where none is needed
	ClientID    string // the OAuth client that a Drive's hidden folder belongs to; no other sees the archive
}

//go:embed kit.html
var page string

var tmpl = template.Must(template.New("kit").Parse(page))

// Write writes the page.
func Write(w io.Writer, k Kit) error {
	code, err := svg(k.Digits)
	if err != nil {
		return err
	}
	groups := strings.Fields(k.Digits)
	var lines []string
	for len(groups) > 0 {
		n := min(4, len(groups))
		lines = append(lines, strings.Join(groups[:n], " "))
		groups = groups[n:]
	}
	var signIns []string
	for _, p := range k.Places {
		if p.SignIn != "" {
			signIns = append(signIns, p.SignIn)
		}
	}
	return tmpl.Execute(w, struct {
		Kit
		SignIns []string
		Lines   []string
		Date    string
		QR      template.HTML
	}{k, signIns, lines, k.Made.Format("2 January 2006"), code})
}

// quiet is the margin that scanners need, in modules.
const quiet = 4

// svg draws the digits as a QR code. They are written in upper case, which has a denser
// alphabet in QR codes; a key may be typed in either.
func svg(digits string) (template.HTML, error) {
	code, err := qr.Encode(strings.ToUpper(strings.ReplaceAll(digits, " ", "")), qr.M)
	if err != nil {
		return "", fmt.Errorf("recovery kit: %w", err)
	}
	var path strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			start := x
			for code.Black(x, y) {
				x++
			}
			if x > start {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", start+quiet, y+quiet, x-start, x-start)
			}
		}
	}
	side := code.Size + 2*quiet
	return template.HTML(fmt.Sprintf(`<svg viewBox="0 0 %d %d" role="img" aria-label="The backup key as a QR code" shape-rendering="crispEdges">`+
		`<rect width="%d" height="%d" fill="#fff"/><path fill="#000" d="%s"/></svg>`, side, side, side, side, path.String())), nil
}
