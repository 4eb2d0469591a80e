// SPDX-License-Identifier: Apache-2.0

package main

import (
	"embed"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// examples makes the end of a command's help. Indented lines are kept as they are.
func examples(lines ...string) string {
	return "Examples:\n\n    " + strings.Join(lines, "\n    ")
}

//go:embed topics
var topicTexts embed.FS

// topics are explained by coffer help; exit-codes is made from the table that the program uses.
var topics = []struct{ name, help string }{
	{"key", "What the key is, where it lives, what to do when it is lost or seen by others."},
	{"password", "A password instead of the key: what the vault does, what a guess is, what is left when it is lost."},
	{"destinations", "How a folder, a bucket or a cloud drive is named, and how to log in to it."},
	{"excludes", "What is left out of a backup, and how to leave out more."},
	{"schedule", "Backups that start by themselves: when they run, when they wait, what was not tried."},
	{"scripting", "Running coffer from cron, in scripts and without a terminal."},
	{"exit-codes", "What each exit code means."},
}

func topicSuggestions() (all []suggestion) {
	for _, t := range topics {
		all = append(all, suggestion{t.name, t.help})
	}
	return all
}

type helpCmd struct {
	Topic []string `arg:"" optional:"" help:"A command, or one of: key, password, destinations, excludes, schedule, scripting, exit-codes."`
}

func (c *helpCmd) Run(a *app) error {
	a.answered = true
	if len(c.Topic) == 1 {
		if text, ok := topicText(c.Topic[0]); ok {
			_, err := a.out.WriteString(text)
			return err
		}
	}
	// The parser prints the help of a command and exits.
	if _, err := a.parser.Parse(append(c.Topic, "--help")); err != nil {
		return usagef("there is no command or topic %q", strings.Join(c.Topic, " "))
	}
	return nil
}

func topicText(name string) (string, bool) {
	if name == "exit-codes" {
		return exitCodeText(), true
	}
	text, err := topicTexts.ReadFile("topics/" + name + ".txt")
	return string(text), err == nil
}

func exitCodeText() string {
	var sb strings.Builder
	sb.WriteString("Exit codes\n\n")
	for code, meaning := range exitCodes {
		fmt.Fprintf(&sb, "  %2d  %s\n", code, meaning)
	}
	sb.WriteString("\nA number never changes its meaning. With --json the same number stands in the document, as error.code.\n")
	return sb.String()
}

// printHelp adds to the parser's help what it does not know.
func (a *app) printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil || ctx.Selected() != nil {
		return err
	}
	fmt.Fprint(ctx.Stdout, "\nTopics (coffer help TOPIC)\n")
	for _, t := range topics {
		fmt.Fprintf(ctx.Stdout, "  %-12s  %s\n", t.name, t.help)
	}
	fmt.Fprint(ctx.Stdout, "\nFirst steps\n  coffer demo\n  coffer init ~/Chats --to /media/disk/backup --key\n  coffer backup\n  coffer restore --from /media/disk/backup --to ~/Chats\nWith a password instead of the key: coffer help password\n")
	return nil
}
