// SPDX-License-Identifier: Apache-2.0

// Command s3server is the S3 server that tests and benchmarks talk to: versitygw over a folder, without the parts of
// its own command that take most of the time to build.
//
// It serves on one loopback address until its standard input ends, so that it cannot outlive who has started it. The keys
// come from the environment: ACCESS_KEY, SECRET_KEY.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

func main() {
	address := flag.String("address", "", "`IP:PORT` to serve on")
	dir := flag.String("dir", "", "the `folder` that holds everything")
	flag.Parse()
	if err := run(*address, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "s3server:", err)
		os.Exit(1)
	}
}

func run(address, dir string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	root, sidecar := filepath.Join(dir, "buckets"), filepath.Join(dir, "metadata")
	for _, folder := range []string{root, sidecar} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
	}
	var storer meta.MetadataStorer = meta.XattrMeta{}
	var options posix.PosixOpts
	if err := (meta.XattrMeta{}).Test(root); err != nil { // a file system without attributes
		options.SideCarDir = sidecar
		if storer, err = meta.NewSideCar(sidecar); err != nil {
			return err
		}
	}
	backend, err := posix.New(root, storer, options)
	if err != nil {
		return err
	}
	return embedgw.RunVersityGW(ctx, backend, &embedgw.Config{
		RootUserAccess:    os.Getenv("ACCESS_KEY"),
		RootUserSecret:    os.Getenv("SECRET_KEY"),
		Ports:             []string{address},
		MaxConnections:    4096,
		MaxRequests:       2048,
		MultipartMaxParts: 10_000,
		KeepAlive:         true,
		Quiet:             true,
	})
}
