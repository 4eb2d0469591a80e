// SPDX-License-Identifier: Apache-2.0

package fakedrive

import (
	"regexp"
	"strings"
	"unicode"
)

// terms of a query, each with its value or values in groups. A value is quoted, and \ escapes in it.
var terms = []struct {
	pattern *regexp.Regexp
	match   func(f *file, values []string) bool
}{
	{term(`name = VALUE`), func(f *file, v []string) bool { return f.Name == v[0] }},
	{term(`name contains VALUE`), func(f *file, v []string) bool { return containsPrefix(f.Name, v[0]) }},
	{term(`VALUE in parents`), func(f *file, v []string) bool { return f.Parents[0] == v[0] }},
	{term(`trashed = (true|false)`), func(f *file, v []string) bool { return f.trashed == (v[0] == "true") }},
	{term(`mimeType = VALUE`), func(f *file, v []string) bool { return f.MimeType == v[0] }},
	{term(`mimeType != VALUE`), func(f *file, v []string) bool { return f.MimeType != v[0] }},
	{term(`appProperties has \{ key=VALUE and value=VALUE \}`), func(f *file, v []string) bool {
		value, ok := f.AppProperties[v[0]]
		return ok && value == v[1]
	}},
}

func term(text string) *regexp.Regexp {
	text = strings.ReplaceAll(text, "VALUE", `'((?:[^'\\]|\\.)*)'`)
	text = strings.ReplaceAll(text, " ", `\s*`)
	return regexp.MustCompile(`^\s*` + text + `\s*`)
}

var and = regexp.MustCompile(`^and\s`)

// query is what a list asks for.
type query struct {
	name string // if one is asked for
	all  []func(*file) bool
}

func (q query) match(f *file) bool {
	for _, one := range q.all {
		if !one(f) {
			return false
		}
	}
	return true
}

// parseQuery understands terms joined by "and".
func parseQuery(text string) (q query, ok bool) {
	if found := terms[0].pattern.FindStringSubmatch(text); found != nil {
		q.name = unescape(found[1])
	}
	for text != "" {
		one, rest, ok := parseTerm(text)
		if !ok || rest != "" && !and.MatchString(rest) {
			return query{}, false
		}
		q.all = append(q.all, one)
		text = strings.TrimPrefix(rest, "and")
	}
	return q, true
}

func unescape(value string) string { return strings.NewReplacer(`\\`, `\`, `\'`, `'`).Replace(value) }

func parseTerm(q string) (match func(*file) bool, rest string, ok bool) {
	for _, t := range terms {
		found := t.pattern.FindStringSubmatch(q)
		if found == nil {
			continue
		}
		values := found[1:]
		for i, v := range values {
			values[i] = unescape(v)
		}
		return func(f *file) bool { return t.match(f, values) }, q[len(found[0]):], true
	}
	return nil, "", false
}

// containsPrefix is what Drive's "name contains" does: the value must begin a word of the name, not lie anywhere in it.
func containsPrefix(name, value string) bool {
	for i := range name {
		begins := i == 0 || !unicode.IsLetter(rune(name[i-1])) && !unicode.IsDigit(rune(name[i-1]))
		if begins && strings.HasPrefix(strings.ToLower(name[i:]), strings.ToLower(value)) {
			return true
		}
	}
	return false
}
