package iam

import (
	"context"
	"time"

	"berth.dev/berth/internal/db"
)

const (
	sweepEvery = time.Minute
	sweepBatch = 500 // rows of one transaction
	sweepMost  = 200 // transactions of one sweep and table
	sweepLimit = 30 * time.Second
)

// expiring are the tables whose rows go when their time is over. What is in
// them then means nothing any more, so that nobody waits for it.
var expiring = []struct{ look, remove string }{
	{
		`SELECT EXISTS (SELECT 1 FROM access_key WHERE expires <= $1 AND kind IN ('login', 'session'))`,
		`DELETE FROM access_key WHERE access IN (SELECT access FROM access_key WHERE expires <= $1 AND kind IN ('login', 'session') ORDER BY expires LIMIT $2)`,
	},
	{
		`SELECT EXISTS (SELECT 1 FROM revoked_token WHERE expires <= $1)`,
		`DELETE FROM revoked_token WHERE token IN (SELECT token FROM revoked_token WHERE expires <= $1 ORDER BY expires LIMIT $2)`,
	},
	{
		`SELECT EXISTS (SELECT 1 FROM used_signature WHERE expires <= $1)`,
		`DELETE FROM used_signature WHERE (access, signature) IN (SELECT access, signature FROM used_signature WHERE expires <= $1 ORDER BY expires LIMIT $2)`,
	},
}

// sweep removes what has expired until ctx ends. All nodes do.
func (a *Authority) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		round, cancel := context.WithTimeout(ctx, sweepLimit)
		err := a.removeExpired(round)
		cancel()
		if err != nil && ctx.Err() == nil {
			a.log.Warn("what has expired was not removed, the next round tries again", "error", err)
		}
	}
}

// removeExpired is one round. It writes only where there is something. The
// margin is for clocks of nodes that differ: a signature must be remembered
// longer than anyone takes its date for good.
func (a *Authority) removeExpired(ctx context.Context) error {
	before := a.now().Add(-time.Minute).UnixMicro()
	for _, table := range expiring {
		some, err := db.One[bool](ctx, a.db, table.look, before)
		for n := 0; err == nil && some && n < sweepMost; n++ {
			some, err = db.Update(ctx, a.db, func(tx *db.Tx) (bool, error) {
				removed, err := tx.Exec(table.remove, before, sweepBatch)
				return removed == sweepBatch, err
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
