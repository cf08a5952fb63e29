package main

import (
	"fmt"

	"berth.dev/berth/internal/server"
)

func keyCommands() []command {
	return []command{
		{
			name:  "key create",
			short: "Create a pair of access and secret key for a user; the secret is shown this once",
			examples: `berth key create --user admin
				berth key create --user alice --account acme --description "build server" --output json`,
			flags: join(userFlag(), accountFlag(), textFlag("description", "`text` to remember what the key is for", func(o *options) *string { return &o.description })),
			run:   createKey,
		},
		{name: "key list", short: "List a user's keys, without secrets", examples: `berth key list --user admin`, flags: join(userFlag(), accountFlag()), run: listKeys},
		{
			name: "key enable", args: "ACCESS",
			short: "Let a key in again", examples: `berth key enable AK3X5Q`,
			run: func(c *call) (result, error) { return enableKey(c, true) },
		},
		{
			name: "key disable", args: "ACCESS",
			short: "Keep a key out", examples: `berth key disable AK3X5Q`,
			run: func(c *call) (result, error) { return enableKey(c, false) },
		},
		{
			name: "key set", args: "ACCESS",
			short: "Change the description of a key", examples: `berth key set AK3X5Q --description "the old build server"`,
			flags: givenFlag("description", "`text` to remember what the key is for", func(o *options) **string { return &o.set.description }),
			run:   setKey,
		},
		{name: "key delete", args: "ACCESS", short: "Delete a key for good", examples: `berth key delete AK3X5Q`, run: deleteKey},
	}
}

// owner is the user whose keys are meant.
func (c *call) owner() (server.Named, error) {
	if c.user == "" {
		return server.Named{}, &usageError{"whose key? Name the user by --user", "berth " + c.cmd.name}
	}
	return server.Named{Account: c.account, Name: c.user}, nil
}

func createKey(c *call) (result, error) {
	owner, err := c.owner()
	if err != nil {
		return result{}, err
	}
	k, err := making(c, func(l *server.Local) (server.CreatedKey, error) {
		return server.Call(c.ctx, l, server.CreateKey, server.NewKey{Named: owner, Description: c.description})
	})
	return result{
		value: k,
		table: [][]string{
			{"access", k.Access},
			{"secret", k.Secret + "   (shown only now)"},
			{"user", fmt.Sprintf("%s (%s)", k.UserName, k.User)},
			{"account", fmt.Sprintf("%s (%s)", k.AccountName, k.Account)},
			{"project", fmt.Sprintf("%s (%s)", k.ProjectName, k.Project)},
		},
	}, err
}

func listKeys(c *call) (result, error) {
	owner, err := c.owner()
	if err != nil {
		return result{}, err
	}
	keys, err := with(c, func(l *server.Local) ([]server.AccessKey, error) {
		return server.Call(c.ctx, l, server.ListKeys, owner)
	})
	return result{value: keys, table: rows([]string{"ACCESS", "ENABLED", "CREATED", "EXPIRES", "DESCRIPTION"}, keys, func(k server.AccessKey) []string {
		expires := "never"
		if k.Expires != nil {
			expires = when(*k.Expires)
		}
		return []string{k.Access, yes(k.Enabled), when(k.Created), expires, k.Description}
	})}, err
}

func enableKey(c *call, on bool) (result, error) {
	_, err := with(c, func(l *server.Local) (server.None, error) {
		return server.Call(c.ctx, l, server.EnableKey, server.Switch{Named: c.named(), On: on})
	})
	return done(c.args[0], "Key %s %s.", c.args[0], abled(on)), err
}

func setKey(c *call) (result, error) {
	if err := c.none(); err != nil {
		return result{}, err
	}
	k, err := with(c, func(l *server.Local) (server.AccessKey, error) {
		return server.Call(c.ctx, l, server.ChangeKey, server.SetKey{Named: c.named(), Description: c.set.description})
	})
	return result{value: k, text: "Key " + k.Access + " changed."}, err
}

func deleteKey(c *call) (result, error) {
	_, err := with(c, func(l *server.Local) (server.None, error) { return server.Call(c.ctx, l, server.DeleteKey, c.named()) })
	return done(c.args[0], "Key %s deleted.", c.args[0]), err
}
