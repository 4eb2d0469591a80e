// SPDX-License-Identifier: Apache-2.0

package main

import (
	"embed"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// Completion: the shells' scripts are a few lines that ask this program, so that they know every command of the
// version that is installed, and the knowledge is in one place.

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (completionCmd) Help() string {
	return examples(
		"source <(coffer completion bash)                                   in ~/.bashrc",
		"source <(coffer completion zsh)                                    in ~/.zshrc, after compinit",
		"coffer completion fish > ~/.config/fish/completions/coffer.fish",
	)
}

//go:embed completion
var completionScripts embed.FS

func (c *completionCmd) Run(a *app) error {
	script, err := completionScripts.ReadFile("completion/" + c.Shell)
	if err != nil {
		return err
	}
	a.answered = true
	_, err = a.out.Write(script)
	return err
}

// completeWordsCmd prints what the last word may become: a word and its help a line, separated by a tab. No line means a file's name.
type completeWordsCmd struct {
	Words []string `arg:"" optional:"" passthrough:""`
}

func (c *completeWordsCmd) Run(a *app) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	for _, s := range suggest(a.parser.Model, words) {
		fmt.Fprintf(a.out, "%s\t%s\n", s.word, s.help)
	}
	return nil
}

type suggestion struct{ word, help string }

// suggest returns what the last of the words may become, given those before it.
func suggest(model *kong.Application, words []string) []suggestion {
	if len(words) == 0 {
		return nil
	}
	current := words[len(words)-1]
	node, position, waiting := follow(model.Node, words[:len(words)-1])
	var all []suggestion
	switch {
	case waiting != nil:
		all = enum(waiting.Value)
	case strings.HasPrefix(current, "-"):
		all = flags(node)
	case len(node.Children) > 0 && position == 0:
		all = commands(node)
	case node.Path() == "help" && position == 0:
		all = append(commands(model.Node), topicSuggestions()...)
	case position < len(node.Positional):
		all = enum(node.Positional[position])
	}
	var fit []suggestion
	for _, s := range all {
		if strings.HasPrefix(s.word, current) {
			fit = append(fit, s)
		}
	}
	return fit
}

// follow walks down the commands. It returns the innermost one, how many arguments it has got,
// and the flag whose value comes next, if one does.
func follow(node *kong.Node, words []string) (_ *kong.Node, position int, waiting *kong.Flag) {
	for _, word := range words {
		switch {
		case waiting != nil:
			waiting = nil
		case strings.HasPrefix(word, "-"):
			if flag := findFlag(node, word); flag != nil && !flag.IsBool() {
				waiting = flag
			}
		default:
			if child := findChild(node, word); child != nil && position == 0 {
				node = child
			} else {
				position++
			}
		}
	}
	return node, position, waiting
}

func findChild(node *kong.Node, name string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == name {
			return child
		}
	}
	return nil
}

func findFlag(node *kong.Node, word string) *kong.Flag {
	for _, level := range node.AllFlags(true) {
		for _, flag := range level {
			if word == "--"+flag.Name || flag.Short != 0 && word == "-"+string(flag.Short) {
				return flag
			}
		}
	}
	if node.DefaultCmd != nil {
		return findFlag(node.DefaultCmd, word)
	}
	return nil
}

func commands(node *kong.Node) (all []suggestion) {
	for _, child := range node.Children {
		if !child.Hidden {
			all = append(all, suggestion{child.Name, child.Help})
		}
	}
	return all
}

func flags(node *kong.Node) (all []suggestion) {
	for _, level := range node.AllFlags(true) {
		for _, flag := range level {
			all = append(all, suggestion{"--" + flag.Name, flag.Help})
		}
	}
	if node.DefaultCmd != nil {
		all = append(all, flags(node.DefaultCmd)...)
	}
	return all
}

func enum(v *kong.Value) (all []suggestion) {
	if v.Enum == "" {
		return nil
	}
	for _, word := range v.EnumSlice() {
		if word != "" { // which stands for none
			all = append(all, suggestion{word, ""})
		}
	}
	return all
}
