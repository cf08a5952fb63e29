package main

import (
	"strconv"
	"strings"

	"berth.dev/berth/internal/server"
)

func webhookCommands() []command {
	return []command{
		{
			name: "webhook list", args: "ORG[/REPO]", short: "List the webhooks of an organization or of a repository",
			examples: `berth webhook list demo
				berth webhook list demo/alpine`,
			run: listWebhooks,
		},
		{
			name: "webhook deliveries", args: "ORG[/REPO] ID", short: "List what was and is to be sent to a webhook",
			examples: `berth webhook deliveries demo 7
				berth webhook deliveries demo/alpine 8 --output json`,
			run: listDeliveries,
		},
		{
			name: "webhook redeliver", args: "ORG[/REPO] ID DELIVERY", short: "Send an event to a webhook again",
			long:     "The receiver sees the same id and the same body as before. It is done by the running server.",
			examples: `berth webhook redeliver demo 7 dlv_6QZ3WJ2N5PX4L7KD6QZ3WJ2N5P`, run: redeliver,
		},
	}
}

// webhook reads the first two arguments of the commands.
func (c *call) webhook() (server.WebhookOf, error) {
	id, err := strconv.ParseInt(c.args[1], 10, 64)
	if err != nil {
		return server.WebhookOf{}, &usageError{"the ID of a webhook is a number; berth webhook list shows it", "berth " + c.cmd.name}
	}
	return server.WebhookOf{In: c.args[0], ID: id}, nil
}

func listWebhooks(c *call) (result, error) {
	list, err := with(c, func(l *server.Local) ([]server.Webhook, error) {
		return server.Call(c.ctx, l, server.ListWebhooks, server.WebhookOf{In: c.args[0]})
	})
	return result{value: list, table: rows([]string{"ID", "NAME", "ENABLED", "EVENTS", "TAGS", "URL", "WAITING", "RESTS UNTIL", "SINCE", "BY"}, list, func(w server.Webhook) []string {
		return []string{strconv.FormatInt(w.ID, 10), w.Name, yes(w.Enabled), strings.Join(w.Events, ","), w.Pattern, w.URL, strconv.FormatInt(w.Waiting, 10), ifWhen(w.Resting), when(w.Created), w.Creator}
	})}, err
}

func listDeliveries(c *call) (result, error) {
	q, err := c.webhook()
	if err != nil {
		return result{}, err
	}
	list, err := with(c, func(l *server.Local) ([]server.Delivery, error) {
		list := []server.Delivery{}
		for {
			p, err := server.Call(c.ctx, l, server.ListDeliveries, q)
			if err != nil {
				return nil, err
			}
			list = append(list, p.Items...)
			if !p.More {
				return list, nil
			}
			q.After = p.Next
		}
	})
	return result{value: list, table: rows([]string{"ID", "EVENT", "REPOSITORY", "TAG", "STATE", "ATTEMPTS", "STATUS", "NEXT TRY", "ERROR"}, list, func(d server.Delivery) []string {
		return []string{d.ID, d.Event, d.Repo, d.Tag, d.State, strconv.Itoa(d.Attempts), strconv.Itoa(d.Status), ifWhen(d.Next), d.Error}
	})}, err
}

func redeliver(c *call) (result, error) {
	q, err := c.webhook()
	if err != nil {
		return result{}, err
	}
	q.Delivery = c.args[2]
	_, err = with(c, func(l *server.Local) (server.None, error) { return server.Call(c.ctx, l, server.Redeliver, q) })
	return done(q.Delivery, "%s will be sent again.", q.Delivery), err
}
