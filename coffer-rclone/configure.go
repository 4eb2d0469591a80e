// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config"
	"github.com/rclone/rclone/fs/config/configfile"
	"github.com/rclone/rclone/fs/log"
)

// configure loads the user's rclone configuration, and makes rclone behave as a library: quiet, and asking nobody.
func configure(ctx context.Context) error {
	log.Handler.SetOutput(func(_ slog.Level, text string) { fmt.Fprint(os.Stderr, scrub(text)) })
	if err := fs.GlobalOptionsInit(); err != nil {
		return fmt.Errorf("rclone's settings in the environment: %w", err)
	}
	settings := fs.GetConfig(ctx)
	settings.AskPassword = false
	settings.LogLevel = fs.LogLevelError
	settings.UseServerModTime = true // asking for another costs a request per object on some providers
	log.Handler.SetLevel(slog.LevelError)

	if path := os.Getenv("RCLONE_CONFIG"); path != "" {
		if err := config.SetConfigPath(path); err != nil {
			return fmt.Errorf("RCLONE_CONFIG: %w", err)
		}
	}
	configfile.Install()
	switch err := config.Data().Load(); {
	case errors.Is(err, config.ErrorConfigFileNotFound): // remotes without a section need none
		return nil
	case err != nil:
		return fmt.Errorf("read rclone's configuration %s: %w; if it is encrypted, let RCLONE_PASSWORD_COMMAND name a command that prints its password",
			config.GetConfigPath(), err)
	}
	return nil
}

// secrets are where rclone's libraries show some: a URL's user and password, its parameters, and headers. What stands before and
// after them stays.
var secrets = []*regexp.Regexp{
	regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^/@\s"']+(@)`),
	regexp.MustCompile(`(://[^\s"'?]*\?)[^\s"']+()`),
	regexp.MustCompile(`(?i)((?:Bearer|Basic) )[a-zA-Z0-9._~+/=-]+()`),
	regexp.MustCompile(`(?i)((?:access_?token|refresh_?token|client_?secret|password|passwd|pass|secret|api_?key|authorization)["']?\s*[=:]\s*["']?)[^\s"',&}]+()`),
}

// scrub takes out of a text what looks like a secret.
func scrub(text string) string {
	for _, secret := range secrets {
		text = secret.ReplaceAllString(text, "${1}(redacted)${2}")
	}
	return text
}
