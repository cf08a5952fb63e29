package main

import (
	"fmt"
	"strings"

	"berth.dev/berth/internal/server"
)

func credentialCommands() []command {
	return []command{
		{
			name:  "credential create",
			short: "Create an access credential: a word that logs in; it is shown this once",
			long: `It takes the place of the password for docker, podman and helm, with any user
name, and is a Bearer token for the management API. --expires is hours or minutes
(1h, 30m), a date, a time, or never where the configuration allows that.`,
			examples: `berth credential create --description "build server" --expires 12h
				berth credential create --user alice --use pull --scope web --scope base/alpine
				berth credential create --expires 1h --output json`,
			flags: join(textFlag("user", "`name` of the user (default: the first administrator)", func(o *options) *string { return &o.user }), accountFlag(),
				textFlag("description", "`text` to remember what it is for", func(o *options) *string { return &o.description }),
				textFlag("expires", "`time` or date at which it ends (default: 168h)", func(o *options) *string { return &o.credential.expires }),
				textFlag("use", "`what` it is for: all, push (and pull) or pull (default: all)", func(o *options) *string { return &o.credential.use }),
				listFlag("scope", "`name` of an organization or a repository that it is limited to; may be repeated", func(o *options) *[]string { return &o.credential.scopes })),
			run: createCredential,
		},
		{
			name:  "credential list",
			short: "List the access credentials of a user or an account, without secrets",
			examples: `berth credential list
				berth credential list --user alice --output json`,
			flags: join(textFlag("user", "`name` of the user (default: all users)", func(o *options) *string { return &o.user }), accountFlag()),
			run:   listCredentials,
		},
		{
			name: "credential enable", args: "ID",
			short: "Let an access credential in again", examples: `berth credential enable 8fK2mQ0xYz1A`,
			run: func(c *call) (result, error) { return enableCredential(c, true) },
		},
		{
			name: "credential disable", args: "ID",
			short: "Keep an access credential out", examples: `berth credential disable 8fK2mQ0xYz1A`,
			run: func(c *call) (result, error) { return enableCredential(c, false) },
		},
		{name: "credential delete", args: "ID", short: "Delete an access credential for good", examples: `berth credential delete 8fK2mQ0xYz1A`, run: deleteCredential},
	}
}

// credentialFlags say what a new credential is to be.
type credentialFlags struct {
	expires, use string
	scopes       []string
}

func createCredential(c *call) (result, error) {
	made, err := making(c, func(l *server.Local) (server.AccessCredential, error) {
		return server.Call(c.ctx, l, server.CreateCredential, server.NewCredential{
			Named: server.Named{Account: c.account, Name: c.user}, Description: c.description, Expires: c.credential.expires, Use: c.credential.use, Scopes: c.credential.scopes,
		})
	})
	return result{
		value: made,
		table: [][]string{
			{"id", made.ID},
			{"secret", made.Secret + "   (shown only now)"},
			{"user", made.AccountName + "/" + made.UserName},
			{"limited to", limitsOf(made)},
			{"expires", expiryOf(made)},
		},
	}, err
}

func listCredentials(c *call) (result, error) {
	list, err := with(c, func(l *server.Local) ([]server.AccessCredential, error) {
		items := []server.AccessCredential{}
		for q := (server.CredentialsOf{Named: server.Named{Account: c.account, Name: c.user}}); ; {
			p, err := server.Call(c.ctx, l, server.ListCredentials, q)
			if items = append(items, p.Items...); err != nil || !p.More {
				return items, err
			}
			q.After = p.Next
		}
	})
	return result{value: list, table: rows([]string{"ID", "USER", "STATE", "EXPIRES", "LAST USED", "LIMITED TO", "DESCRIPTION"}, list, func(k server.AccessCredential) []string {
		used := "never"
		if k.Used != nil {
			used = when(*k.Used)
		}
		return []string{k.ID, k.UserName, k.State, expiryOf(k), used, limitsOf(k), k.Description}
	})}, err
}

func expiryOf(k server.AccessCredential) string {
	if k.Expires == nil {
		return "never"
	}
	return when(*k.Expires)
}

func limitsOf(k server.AccessCredential) string {
	limits := strings.Join(k.Scopes, ",")
	switch {
	case k.Use == "all" && limits == "":
		return "-"
	case k.Use == "all":
		return limits
	case limits == "":
		return k.Use
	}
	return fmt.Sprintf("%s in %s", k.Use, limits)
}

func enableCredential(c *call, on bool) (result, error) {
	is, err := with(c, func(l *server.Local) (server.AccessCredential, error) {
		return server.Call(c.ctx, l, server.EnableCredential, server.Switch{Named: c.named(), On: on})
	})
	text := fmt.Sprintf("Credential %s %s.", c.args[0], abled(on))
	if on && is.State == "expired" {
		text += " It has expired all the same."
	}
	return result{value: is, text: text}, err
}

func deleteCredential(c *call) (result, error) {
	_, err := with(c, func(l *server.Local) (server.None, error) {
		return server.Call(c.ctx, l, server.DeleteCredential, c.named())
	})
	return done(c.args[0], "Credential %s deleted.", c.args[0]), err
}
