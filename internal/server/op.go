package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"berth.dev/berth/internal/fault"
)

// An Op is one operation of the berth command, done as iam.Operator by whoever
// has the data directory: over the socket by a running server, else by the
// command itself. Call runs it.
type Op[In, Out any] struct {
	name string
	do   func(context.Context, *core, In) (Out, error)
}

// An endpoint is an Op without its types: what the socket serves.
type endpoint struct {
	name  string
	serve func(ctx context.Context, c *core, body []byte) (any, error)
}

func (o Op[In, Out]) endpoint() endpoint {
	return endpoint{o.name, func(ctx context.Context, c *core, body []byte) (any, error) {
		var in In
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields() // written by another version of berth: better refused than half understood
		if err := d.Decode(&in); err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "The arguments of %s do not decode: %v.", o.name, err)
		}
		return o.do(ctx, c, in)
	}}
}

// endpoints is the table of everything the socket serves.
func endpoints() []endpoint {
	return []endpoint{
		CreateAccount.endpoint(), ListAccounts.endpoint(), EnableAccount.endpoint(), ChangeAccount.endpoint(), ShowSettings.endpoint(),
		CreateUser.endpoint(), ListUsers.endpoint(), SetPassword.endpoint(), EnableUser.endpoint(), SetAdmin.endpoint(), DeleteUser.endpoint(), ChangeUser.endpoint(),
		CreateKey.endpoint(), ListKeys.endpoint(), EnableKey.endpoint(), DeleteKey.endpoint(), ChangeKey.endpoint(), RotateSigning.endpoint(),
		CreateCredential.endpoint(), ListCredentials.endpoint(), EnableCredential.endpoint(), DeleteCredential.endpoint(),
		CreateOrg.endpoint(), ChangeOrg.endpoint(), ListOrgs.endpoint(), DeleteOrg.endpoint(),
		ShowGuide.endpoint(),
		ListRepos.endpoint(), SetPublic.endpoint(), DeleteRepo.endpoint(),
		CreateChartGroup.endpoint(), ListChartGroups.endpoint(), ChangeChartGroup.endpoint(), DeleteChartGroup.endpoint(), DeleteChart.endpoint(), ListCharts.endpoint(),
		SetGrant.endpoint(), RemoveGrant.endpoint(), ListGrants.endpoint(),
		ListJobs.endpoint(), RetryJob.endpoint(), CancelJob.endpoint(),
		ShowRetention.endpoint(), SimulateRetention.endpoint(), ConfirmRetention.endpoint(),
		ListTags.endpoint(), TagHistory.endpoint(), DeleteTag.endpoint(),
		AddRegion.endpoint(), SetRegion.endpoint(), ListRegions.endpoint(), DeleteRegion.endpoint(), CheckRegion.endpoint(),
		ListSyncs.endpoint(), RunSync.endpoint(), DiffSync.endpoint(),
		ListWebhooks.endpoint(), ListDeliveries.endpoint(), Redeliver.endpoint(),
		AddCluster.endpoint(), ListClusters.endpoint(), CheckCluster.endpoint(), DeleteCluster.endpoint(),
		ListDeletedTags.endpoint(), RestoreTag.endpoint(), RollbackTag.endpoint(), RollbackRepo.endpoint(),
		Fsck.endpoint(),
	}
}

// Call runs an operation where l leads.
func Call[In, Out any](ctx context.Context, l *Local, o Op[In, Out], in In) (Out, error) {
	if l.core != nil {
		return o.do(ctx, l.core, in)
	}
	var out Out
	return out, l.remote.call(ctx, o.name, in, &out)
}

// A Page is part of a list; with More, the next page begins behind Next.
type Page[T any] struct {
	Items []T    `json:"items"`
	More  bool   `json:"more"`
	Next  string `json:"next"`
}

// pageSize is the number of rows that one call lists.
const pageSize = 1000

// List is the argument of operations that list.
type List struct {
	In    string `json:"in"`    // what the listed things belong to; its meaning is the operation's
	After string `json:"after"` // Next of the page before
}

// None is the argument or the result where there is nothing to say.
type None struct{}

// onRepository splits "organization" from "organization/repository".
func onRepository(target string) bool { return strings.Contains(target, "/") }

// pageOf renders rows.
func pageOf[R, T any](rows []R, more bool, render func(R) T, next func(R) string) Page[T] {
	p := Page[T]{Items: make([]T, 0, len(rows)), More: more}
	for _, r := range rows {
		p.Items = append(p.Items, render(r))
	}
	if more && len(rows) > 0 {
		p.Next = next(rows[len(rows)-1])
	}
	return p
}

func unknownOp(name string) error {
	return fault.New(fault.Unsupported, "%s", fmt.Sprintf("The running server does not know %s: command and server are of different versions.", name))
}

// Explain is an error as the operator should read it: what clients would be
// told without its code, everything else as it is.
func Explain(err error) string {
	var f *fault.Error
	if errors.As(err, &f) && f.Code != fault.Internal && f.Err == nil {
		return strings.Replace(err.Error(), f.Error(), f.Msg, 1)
	}
	return err.Error()
}
