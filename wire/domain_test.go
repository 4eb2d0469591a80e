// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// domains returns the strings of a file that look like a domain, by the constant that each is.
func domains(t *testing.T, name string) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				found[spec.Names[0].Name], _ = strconv.Unquote(lit.Value)
			}
		}
		return true
	})
	return found
}

// One string per purpose, with the version in it, all of them in one file and in the specification.
func TestDomains(t *testing.T) {
	form := regexp.MustCompile(`^coffer/v` + strconv.Itoa(Version) + `(/[a-z]+(-[a-z]+)*)+$`)
	spec, err := os.ReadFile("../docs/spec/wire.md")
	if err != nil {
		t.Fatal(err)
	}
	all := domains(t, "domain.go")
	if len(all) < 20 {
		t.Fatalf("found %d domain strings in domain.go", len(all))
	}
	seen := map[string]string{}
	for name, domain := range all {
		switch {
		case !form.MatchString(domain) || len(domain) > 255:
			t.Errorf("%s is %q", name, domain)
		case !strings.Contains(strings.ToLower(name), "domain"):
			t.Errorf("%s is not called a domain", name)
		case seen[domain] != "":
			t.Errorf("%s and %s are both %q", name, seen[domain], domain)
		case strings.Count(string(spec), "| `"+domain+"` |") != 1:
			t.Errorf("docs/spec/wire.md does not list %q once", domain)
		}
		seen[domain] = name
	}
}

func TestDomainsAreInOneFile(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if name == "domain.go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), `"coffer/`) {
			t.Errorf("%s has a domain string of its own", name)
		}
	}
}

// No part of an id can be moved into its neighbour, and every input counts.
func TestIDsDiffer(t *testing.T) {
	if NewAccountID("ab", "c") == NewAccountID("a", "bc") || NewAccountID("", "abc") == NewAccountID("abc", "") {
		t.Error("issuer and subject run together")
	}
	k, other := named("K"), named("other")
	fleet, bob := FleetID(specFleet), AccountID(specAccount("https://issuer.example", "bob"))
	m := NewManageSecret(k, fleet, specAlice)
	for name, differs := range map[string]ManageSecret{
		"K": NewManageSecret(other, fleet, specAlice), "fleet": NewManageSecret(k, FleetID(other[:16]), specAlice), "account": NewManageSecret(k, fleet, bob),
	} {
		if differs == m || differs.Hash().Equal(m.Hash()) {
			t.Errorf("another %s gives the same manage secret", name)
		}
	}
	if !m.Hash().Equal(m.Hash()) {
		t.Error("a manage secret's hash is not its own")
	}
	var ke1, share [KE1Size]byte
	share[ElementSize] = 1
	element := NewElementDigest(RegistrationID{}, &ke1)
	if NewElementDigest(RegistrationID{}, &share) != element {
		t.Error("more than the element counts")
	}
	ke1[ElementSize-1] = 1
	if NewElementDigest(RegistrationID{}, &ke1) == element || NewElementDigest(RegistrationID{1}, &[KE1Size]byte{}) == element {
		t.Error("another element or registration is the same guess")
	}
}

func TestPartitions(t *testing.T) {
	seen := map[Partition]bool{}
	for i := range 1000 {
		account := AccountID(named(strconv.Itoa(i)))
		if p := PartitionOf(FleetID(specFleet), account, 0); p != 0 {
			t.Fatalf("of no partition, partition %d", p)
		}
		p := PartitionOf(FleetID(specFleet), account, 8)
		if p >= 8 {
			t.Fatalf("of 8 partitions, partition %d", p)
		}
		seen[p] = true
	}
	if len(seen) != 8 {
		t.Errorf("1,000 accounts are in %d of 8 partitions", len(seen))
	}
}
