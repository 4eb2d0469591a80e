// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const (
	metadataPath = "/.well-known/openid-configuration"
	keySetPath   = "/jwks.json"
	pagePath     = "/device"
	devicePath   = "/device_authorization"
	tokenPath    = "/token"
)

// metadata tells where the endpoints are (RFC 8414), as the client sees them: this process
// knows neither the address nor the prefix that it is reached at.
func (i *Issuer) metadata(w http.ResponseWriter, r *http.Request) {
	base := baseURL(r, metadataPath)
	answer(w, http.StatusOK, map[string]any{
		"issuer":                                i.name,
		"jwks_uri":                              base + keySetPath,
		"device_authorization_endpoint":         base + devicePath,
		"token_endpoint":                        base + tokenPath,
		"grant_types_supported":                 []string{grantDevice, grantRefresh},
		"response_types_supported":              []string{},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"EdDSA"},
		"token_endpoint_auth_methods_supported": []string{"none"},
	})
}

// baseURL returns what comes before path in the address that the client asked for.
func baseURL(r *http.Request, path string) string {
	base := url.URL{Scheme: "http", Host: r.Host}
	if r.TLS != nil {
		base.Scheme = "https"
	}
	if asked, err := url.ParseRequestURI(r.RequestURI); err == nil {
		base.Path = strings.TrimSuffix(asked.Path, path)
	}
	return base.String()
}

// keySet is a JWK Set (RFC 7517, RFC 8037).
func (i *Issuer) keySet(w http.ResponseWriter, _ *http.Request) {
	var set []map[string]string
	for _, k := range i.Keys() {
		set = append(set, map[string]string{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": k.Algorithm,
			"kid": k.ID, "x": base64.RawURLEncoding.EncodeToString(k.Public)})
	}
	answer(w, http.StatusOK, map[string]any{"keys": set})
}

// page is where a user of another issuer would compare the code and agree.
func (i *Issuer) page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "This is Coffer's development issuer. It approves every login by itself, so there is nothing to do here.\n"+
		"Anyone who can open this page can log in as anyone.\n")
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store") // RFC 6749 section 5.1
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) // a client that has gone away needs no answer
}
