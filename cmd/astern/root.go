package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// app is what every command has: where to read and write, what the person said by flags, and the clock.
type app struct {
	in       io.Reader
	out, err io.Writer
	now      func() time.Time
	after    func(time.Duration) <-chan time.Time
	// asks says that a person sits at a terminal and can be asked; paints that the output is one.
	asks, paints bool
	// plain says that nothing is coloured.
	plain bool
	size  func() (width, height int)
	// cache is the folder for what can be had again; empty when there is none.
	cache string

	// What the global flags say.
	server, tokenFile, output string
	noColor                   bool
}

// The forms of output.
const (
	asTable = "table"
	asWide  = "wide"
	asJSON  = "json"
	asName  = "name"
)

var outputs = []string{asTable, asWide, asJSON, asName}

// The groups of commands in the help.
var groups = []*cobra.Group{
	{ID: "look", Title: "Look:"},
	{ID: "decide", Title: "Decide about an incident or a target:"},
	{ID: "control", Title: "Control the installation:"},
	{ID: "files", Title: "Work with files (no server needed):"},
	{ID: "run", Title: "Run the server:"},
}

func rootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "astern",
		Short: "Roll back when an alert says so: safely, visibly, and provably",
		Long: "astern takes alerts from Alertmanager, decides by rules whether a release must be rolled back, does it step by\n" +
			"step, proves that it helped, and keeps the record. Commands other than `serve` talk to a server, or work on files.\n\n" +
			exitCodeHelp,
		SilenceErrors: true, SilenceUsage: true, DisableAutoGenTag: true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.checkFlags() },
		Args:              noSuchCommand,
		RunE:              help,
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageHint("see `"+cmd.CommandPath()+" --help`", "%s", err)
	})
	flags := root.PersistentFlags()
	flags.StringVar(&a.server, "server", a.server, "address of the server; ASTERN_SERVER")
	flags.StringVar(&a.tokenFile, "token-file", a.tokenFile, "file that holds your token; ASTERN_TOKEN_FILE")
	flags.StringVarP(&a.output, "output", "o", asTable, "form of the output: "+strings.Join(outputs, ", "))
	flags.BoolVar(&a.noColor, "no-color", false, "no colours; NO_COLOR")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(outputs, cobra.ShellCompDirectiveNoFileComp))
	root.AddGroup(groups...)
	root.AddCommand(commands(a)...)
	root.SuggestionsMinimumDistance = 2
	root.SetHelpCommandGroupID("files")
	root.SetCompletionCommandGroupID("files")
	return root
}

func (a *app) checkFlags() error {
	a.plain = a.plain || a.noColor
	if !slices.Contains(outputs, a.output) {
		return usageHint("write -o "+strings.Join(outputs, ", -o "), "there is no form of output %q", a.output)
	}
	return nil
}

// commands are all subcommands, in the order of the help.
func commands(a *app) []*cobra.Command {
	return inGroups(map[string][]*cobra.Command{
		"look":    {incidentsCommand(a), deliveriesCommand(a), explainCommand(a), planCommand(a), targetsCommand(a), rulesCommand(a), statusCommand(a), readyCommand(a)},
		"decide":  {approveCommand(a), rejectCommand(a), abortCommand(a), rollbackCommand(a), holdCommand(a), releaseCommand(a), markCommand(a)},
		"control": {armCommand(a), disarmCommand(a), stopCommand(a), resumeCommand(a)},
		"files":   {initCommand(a), checkCommand(a), rbacCommand(a), schemaCommand(a), testCommand(a), backtestCommand(a), actionsCommand(a), versionCommand(a)},
		"run":     {serveCommand()},
	})
}

func inGroups(all map[string][]*cobra.Command) []*cobra.Command {
	var flat []*cobra.Command
	for _, g := range groups {
		for _, c := range all[g.ID] {
			c.GroupID = g.ID
			c.Args = explained(c.Args)
			for _, sub := range c.Commands() {
				sub.Args = explained(sub.Args)
			}
			flat = append(flat, c)
		}
	}
	return flat
}

func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// noSuchCommand is for commands that only hold others.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "see `" + cmd.CommandPath() + " --help`"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean `" + cmd.CommandPath() + " " + strings.Join(near, "` or `") + "`?"
	}
	return usageHint(hint, "there is no command %q", cmd.CommandPath()+" "+args[0])
}

// explained makes what a command says of its arguments end with how it is used.
func explained(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if check == nil {
			return nil
		}
		err := check(cmd, args)
		if f := (*failure)(nil); err != nil && !errors.As(err, &f) {
			return usageHint("usage: "+cmd.UseLine(), "%s takes other arguments, not %d", cmd.CommandPath(), len(args))
		}
		return err
	}
}
