package swr

import (
	"sync"
	"testing"
)

var peopleMade sync.Map // world -> *sync.Once

// people makes, once in each world, the other account and the keys of both
// administrators.
func (w *world) people(t testing.TB) {
	t.Helper()
	once, _ := peopleMade.LoadOrStore(w, &sync.Once{})
	once.(*sync.Once).Do(func() {
		w.Account(t, "partner")
		w.admin = w.AccessKey(t, "", "admin")
		w.partner = w.AccessKey(t, "partner", "partner")
	})
	if w.admin.Access == "" || w.partner.Access == "" {
		t.Fatal("the people of this world could not be made")
	}
}
