package main

import "berth.dev/berth/internal/server"

func userCommands() []command {
	return []command{
		{
			name: "user create", args: "NAME",
			short: "Create a user, who logs in as NAME, or as ACCOUNT/NAME outside the first account",
			long:  "The password is asked for, or read from stdin. Rights are given by `berth grant set`; an administrator has all rights in the account.",
			examples: `berth user create alice
				berth user create alice --admin --account acme
				pass show berth/alice | berth user create alice --password-stdin`,
			flags: join(accountFlag(), stdinFlag(), boolFlag("admin", "make the user an administrator of the account", func(o *options) *bool { return &o.admin })),
			run:   createUser,
		},
		{name: "user list", short: "List the users of an account", examples: `berth user list --account acme`, flags: accountFlag(), run: listUsers},
		{
			name: "user passwd", args: "NAME",
			short:    "Set a user's password; the old one is of no use from then on",
			long:     "Logins by the old password, refresh tokens and tokens of the management API end at once. Registry tokens that were issued before work until they expire (tokens.life); `berth user disable` keeps a user out at once, tokens included.",
			examples: `berth user passwd admin`,
			flags:    join(accountFlag(), stdinFlag()),
			run:      setPassword,
		},
		{
			name: "user set", args: "NAME",
			short: "Change a user's name, description, contact or access mode",
			long:  "Another name ends logins and tokens by the old one. Rights and keys stay. The access mode (default, programmatic, console) is kept and shown, and limits nothing.",
			examples: `berth user set alice --description "on call"
				berth user set alice --name alicia
				berth user set alice --email alice@example.com --area-code 0049 --phone 22812345`,
			flags: join(accountFlag(),
				givenFlag("name", "`name` that the user gets", func(o *options) **string { return &o.set.name }),
				givenFlag("description", "`text` to remember who this is", func(o *options) **string { return &o.set.description }),
				givenFlag("email", "`address` to reach the user at", func(o *options) **string { return &o.set.email }),
				givenFlag("area-code", "`digits` of the country, beside --phone", func(o *options) **string { return &o.set.areaCode }),
				givenFlag("phone", "`digits` of a telephone", func(o *options) **string { return &o.set.phone }),
				givenFlag("access-mode", "`mode`: default, programmatic or console", func(o *options) **string { return &o.set.accessMode })),
			run: setUser,
		},
		{
			name: "user enable", args: "NAME",
			short: "Let a user in again", examples: `berth user enable alice`, flags: accountFlag(),
			run: func(c *call) (result, error) { return switchUser(c, server.EnableUser, true, "enabled") },
		},
		{
			name: "user disable", args: "NAME",
			short: "Keep a user out, keys and tokens included", examples: `berth user disable alice`, flags: accountFlag(),
			run: func(c *call) (result, error) { return switchUser(c, server.EnableUser, false, "disabled") },
		},
		{
			name: "user admin", args: "NAME",
			short: "Make a user an administrator of the account, or no more",
			examples: `berth user admin alice
				berth user admin alice --remove`,
			flags: join(accountFlag(), boolFlag("remove", "take the administrator's rights away", func(o *options) *bool { return &o.remove })),
			run: func(c *call) (result, error) {
				if c.remove {
					return switchUser(c, server.SetAdmin, false, "is no administrator any more")
				}
				return switchUser(c, server.SetAdmin, true, "is an administrator")
			},
		},
		{
			name: "user delete", args: "NAME",
			short: "Delete a user with keys and rights; what the user pushed stays", examples: `berth user delete alice`, flags: accountFlag(),
			run: deleteUser,
		},
	}
}

func (c *call) named() server.Named { return server.Named{Account: c.account, Name: c.args[0]} }

func createUser(c *call) (result, error) {
	password, err := c.password(c.args[0])
	if err != nil {
		return result{}, err
	}
	u, err := making(c, func(l *server.Local) (server.User, error) {
		return server.Call(c.ctx, l, server.CreateUser, server.NewUser{Named: c.named(), Password: password, Admin: c.admin})
	})
	text := "User " + u.Name + " created."
	if !u.Admin {
		text += " Rights are given by: berth grant set ORGANIZATION " + u.Name + " read|edit|manage"
	}
	return result{value: u, text: text}, err
}

func listUsers(c *call) (result, error) {
	users, err := with(c, func(l *server.Local) ([]server.User, error) { return all(c, l, server.ListUsers, c.account) })
	return result{value: users, table: rows([]string{"NAME", "ADMIN", "ENABLED", "CREATED", "ID", "DESCRIPTION"}, users, func(u server.User) []string {
		return []string{u.Name, yes(u.Admin), yes(u.Enabled), when(u.Created), u.ID, u.Description}
	})}, err
}

func setUser(c *call) (result, error) {
	if err := c.none(); err != nil {
		return result{}, err
	}
	u, err := with(c, func(l *server.Local) (server.User, error) {
		return server.Call(c.ctx, l, server.ChangeUser, server.SetUser{
			Named: c.named(), NewName: c.set.name, Description: c.set.description,
			Email: c.set.email, AreaCode: c.set.areaCode, Phone: c.set.phone, AccessMode: c.set.accessMode,
		})
	})
	return result{value: u, text: "User " + u.Name + " changed."}, err
}

func setPassword(c *call) (result, error) {
	password, err := c.password(c.args[0])
	if err != nil {
		return result{}, err
	}
	_, err = with(c, func(l *server.Local) (server.None, error) {
		return server.Call(c.ctx, l, server.SetPassword, server.Password{Named: c.named(), Password: password})
	})
	return done(c.args[0], "The password of %s is changed.", c.args[0]), err
}

func switchUser(c *call, op server.Op[server.Switch, server.None], on bool, now string) (result, error) {
	_, err := with(c, func(l *server.Local) (server.None, error) {
		return server.Call(c.ctx, l, op, server.Switch{Named: c.named(), On: on})
	})
	return done(c.args[0], "User %s %s.", c.args[0], now), err
}

func deleteUser(c *call) (result, error) {
	_, err := with(c, func(l *server.Local) (server.None, error) { return server.Call(c.ctx, l, server.DeleteUser, c.named()) })
	return done(c.args[0], "User %s deleted.", c.args[0]), err
}
