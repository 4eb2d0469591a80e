// SPDX-License-Identifier: Apache-2.0

package destination

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	bucketName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,62}$`)
	regionName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)
	hostName   = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?$`)
)

// amazon is the endpoint that an empty one stands for.
const amazon = "s3.amazonaws.com"

func parseS3(rest string) (Location, error) {
	u, query, err := parseURL("s3", rest, "endpoint", "region", "insecure", "check-then-put")
	if err != nil {
		return nil, err
	}
	if u.User != nil {
		return nil, errSecret("s3")
	}
	l := S3{Bucket: u.Host, Region: query["region"], Insecure: query["insecure"] != "", CheckThenPut: query["check-then-put"] != ""}
	if !bucketName.MatchString(l.Bucket) {
		return nil, refuse("the name of a bucket has 2 to 63 letters, digits, dots and dashes, as in %s", examples["s3"])
	}
	if l.Region != "" && !regionName.MatchString(l.Region) {
		return nil, refuse("that is no region")
	}
	if l.Prefix, err = cloudPath(u.Path); err != nil {
		return nil, err
	}
	if query["endpoint"] == "" {
		if l.Insecure {
			return nil, refuse("insecure=1 is for a server of your own, which endpoint= names")
		}
		return l, nil
	}
	return l.at(query["endpoint"])
}

// at sets the endpoint, which people also write as a URL.
func (l S3) at(endpoint string) (Location, error) {
	host, plain := strings.CutPrefix(endpoint, "http://")
	host = strings.TrimSuffix(strings.TrimPrefix(host, "https://"), "/")
	insecure := l.Insecure || plain
	var ok bool
	if l.Endpoint, ok = parseHost(host, insecure); !ok {
		return nil, refuse("the endpoint is no HOST or HOST:PORT, as in %s", examples["s3"])
	}
	if plain && !l.Insecure && !isLoopback(l.Endpoint) {
		return nil, errPlain("s3", "&insecure=1")
	}
	l.Insecure = insecure
	if l.Endpoint == amazon && !l.Insecure {
		l.Endpoint = ""
	}
	return l, nil
}

// errPlain refuses a connection that everybody on the way could read and change.
func errPlain(kind, word string) error {
	return refuse("plain HTTP shows everybody on the way what is stored where, and with WebDAV the password; use HTTPS, as in %s, or add %s if the network is yours alone", examples[kind], word)
}

func parseWebDAV(rest string, insecure bool) (Location, error) {
	kind := "webdav+https"
	if insecure {
		kind = "webdav+http"
	}
	u, query, err := parseURL(kind, rest, "insecure")
	if err != nil {
		return nil, err
	}
	if _, has := u.User.Password(); has {
		return nil, errSecret(kind)
	}
	l := WebDAV{Insecure: insecure, User: u.User.Username()}
	if !utf8.ValidString(l.User) || strings.ContainsFunc(l.User, func(r rune) bool { return !unicode.IsPrint(r) || r == ':' }) {
		return nil, errSecret(kind)
	}
	var ok bool
	if l.Host, ok = parseHost(u.Host, insecure); !ok {
		return nil, refuse("the server is no HOST or HOST:PORT, as in %s", examples[kind])
	}
	if l.Path, err = cloudPath(u.Path); err != nil {
		return nil, err
	}
	switch said := query["insecure"] != ""; {
	case said && !insecure:
		return nil, refuse("insecure=1 goes with webdav+http")
	case insecure && !said && !isLoopback(l.Host):
		return nil, errPlain("webdav+https", "?insecure=1")
	}
	return l, nil
}

// parseURL takes a URL apart. Of the parameters only those that are named may be there, each once. Its errors
// are not those of package url, which quote the text.
func parseURL(kind, rest string, parameters ...string) (*url.URL, map[string]string, error) {
	if !strings.HasPrefix(rest, "//") {
		return nil, nil, refuse("write %s", examples[kind])
	}
	u, err := url.Parse(kind + ":" + rest)
	if err != nil || u.Host == "" || strings.Contains(rest, "#") {
		return nil, nil, errSecret(kind)
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, nil, errSecret(kind)
	}
	query := make(map[string]string)
	for _, name := range parameters {
		if len(values[name]) == 1 {
			query[name] = values[name][0]
		}
	}
	isSwitch := func(name string) bool { return query[name] == "" || query[name] == "1" }
	if len(query) != len(values) || !isSwitch("insecure") || !isSwitch("check-then-put") {
		return nil, nil, refuse("only %s may stand behind the ?, once each, and a switch only as insecure=1; secrets are never part of a text: coffer destination add asks for them",
			strings.Join(parameters, ", "))
	}
	return u, query, nil
}

// parseHost returns the one way to write HOST or HOST:PORT.
func parseHost(text string, insecure bool) (canonical string, ok bool) {
	host, port := strings.ToLower(text), ""
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host, port = host[:i], host[i+1:]
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return "", false
		}
		port = strconv.FormatUint(n, 10)
	}
	if inside, v6 := strings.CutPrefix(host, "["); v6 {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inside, "]"))
		if err != nil || !strings.HasSuffix(inside, "]") || !addr.Is6() || addr.Zone() != "" {
			return "", false
		}
		host = "[" + addr.String() + "]"
	} else if !hostName.MatchString(host) {
		return "", false
	}
	if port == "" || port == "443" && !insecure || port == "80" && insecure {
		return host, true
	}
	return host + ":" + port, true
}

// isLoopback says whether a host is this machine, whatever a name server says.
func isLoopback(hostPort string) bool {
	host := hostPort
	if h, _, err := net.SplitHostPort(hostPort); err == nil {
		host = h
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}
