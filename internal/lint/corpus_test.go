// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
)

// A fuzz target without seeds passes in go test without running once. Whether a
// pattern that reads seeds from files matches any is checked where the targets run.
func TestFuzzTargetsHaveSeeds(t *testing.T) {
	for name, file := range testFiles(t) {
		for _, decl := range file.Decls {
			target, ok := decl.(*ast.FuncDecl)
			if !ok || target.Recv != nil || !strings.HasPrefix(target.Name.Name, "Fuzz") {
				continue
			}
			stored, err := fs.Glob(os.DirFS(root), path.Join(path.Dir(name), "testdata/fuzz", target.Name.Name, "*"))
			if err != nil {
				t.Fatal(err)
			}
			if len(stored) == 0 && !addsSeeds(target) {
				t.Errorf("%s: %s has no seed: neither f.Add, nor a function that is given f, nor testdata/fuzz",
					name, target.Name.Name)
			}
		}
	}
}

// addsSeeds reports whether target calls Add on its *testing.F, or hands it to a
// function that may.
func addsSeeds(target *ast.FuncDecl) bool {
	if len(target.Type.Params.List) != 1 || len(target.Type.Params.List[0].Names) != 1 {
		return false
	}
	f := target.Type.Params.List[0].Names[0].Name
	isF := func(e ast.Expr) bool {
		id, ok := e.(*ast.Ident)
		return ok && id.Name == f
	}
	found := false
	ast.Inspect(target.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		found = found || ok && method.Sel.Name == "Add" && isF(method.X)
		for _, arg := range call.Args {
			found = found || isF(arg)
		}
		return true
	})
	return found
}

// Every vector is read by a test: either the test names the file, or it names the
// file's folder and reads all of it. In the second case the folder holds one kind
// of file, so that a pattern like *.json leaves none out.
func TestVectorsAreUsed(t *testing.T) {
	const vectors = "testvectors"
	named := make(map[string]bool)
	for _, file := range testFiles(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					for element := range strings.SplitSeq(s, "/") {
						named[element] = true
					}
				}
			}
			return true
		})
	}
	tree := os.DirFS(root)
	if _, err := fs.Stat(tree, vectors); err != nil {
		t.Skip("no vectors yet")
	}
	kinds := make(map[string]string) // by folder
	err := fs.WalkDir(tree, vectors, func(name string, entry fs.DirEntry, err error) error {
		folder, base := path.Dir(name), path.Base(name)
		switch {
		case err != nil:
			return err
		case entry.IsDir(), path.Ext(name) == ".md", named[base]:
			return nil
		case !named[path.Base(folder)]:
			t.Errorf("%s: no test names it or its folder", name)
		case kinds[folder] != "" && kinds[folder] != path.Ext(name):
			t.Errorf("%s: lies beside %s files, and no test names it", name, kinds[folder])
		}
		kinds[folder] = path.Ext(name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// testFiles returns the syntax of all test files but this package's own.
func testFiles(t *testing.T) map[string]*ast.File {
	t.Helper()
	parsed := make(map[string]*ast.File)
	for name, text := range files(t) {
		if !strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "internal/lint/") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed[name] = file
	}
	return parsed
}
