package result

// scale says what a goal's value is compared with.
type scale int

const (
	times  scale = iota // times better than the reference registry
	share               // share of another metric of the same target in the same run
	atMost              // an absolute bound
)

// goal is one line of the table: a metric, what it is compared with, and what it has to
// reach. For atMost, smaller is better; a zero aim means there is none beyond must.
type goal struct {
	what           string
	scale          scale
	workload, name string
	beside         string // share: the other metric
	must, aim      float64
}

// flat is the least share at which two sizes of the same thing count as equally fast.
const flat = 0.8

func goals() []goal {
	return []goal{
		{"small image push, 8 clients", times, "small", "push c=8", "", 5, 8},
		{"small image push, 32 clients", times, "small", "push c=32", "", 6, 10},
		{"commits of one small image (strace)", atMost, "syscalls", "commits per small image", "", 3.2, 0},
		{"syncs beside the commits of one large blob (strace)", atMost, "syscalls", "other syncs per large blob", "", 2, 0},
		{"images of 10 x 1 MiB, 8 clients", times, "layers", "push c=8", "", 2.5, 3.7},
		{"push 1 GiB, streamed", times, "push", "streamed", "", 1.15, 1.3},
		{"push 1 GiB, streamed, beside bare receive, hash, write, sync", share, "push", "streamed", "bare, step by step", 0.85, 1},
		{"pull 1 GiB, beside bare sendfile", share, "pull", "1 GiB", "1 GiB, bare", 0.85, 0.95},
		{"64 pulls of one 10 MiB layer", times, "pull", "64 x 10 MiB", "", 1.5, 1.65},
		{"manifest GET by tag, 16 clients", times, "manifest", "GET c=16", "", 5, 8},
		{"manifest GET by tag, 64 clients", times, "manifest", "GET c=64", "", 5, 8},
		{"manifest HEAD by tag, 16 clients", times, "manifest", "HEAD c=16", "", 5, 8},
		{"manifest HEAD by tag, 64 clients", times, "manifest", "HEAD c=64", "", 5, 8},
		{"manifest GET, 16 clients, beside bare", share, "manifest", "GET c=16", "GET c=16, bare", 0.45, 0.6},
		{"manifest GET, 64 clients, beside bare", share, "manifest", "GET c=64", "GET c=64, bare", 0.45, 0.6},
		{"manifest HEAD, 16 clients, beside bare", share, "manifest", "HEAD c=16", "HEAD c=16, bare", 0.45, 0.6},
		{"manifest HEAD, 64 clients, beside bare", share, "manifest", "HEAD c=64", "HEAD c=64, bare", 0.45, 0.6},
		{"manifest GET, 16 clients, 100,000 tags beside 10", share, "many-tags", "GET c=16", "GET c=16, 10 tags", flat, 0.95},
		{"manifest GET, 64 clients, 100,000 tags beside 10", share, "many-tags", "GET c=64", "GET c=64, 10 tags", flat, 0.95},
		{"manifest HEAD, 16 clients, 100,000 tags beside 10", share, "many-tags", "HEAD c=16", "HEAD c=16, 10 tags", flat, 0.95},
		{"manifest HEAD, 64 clients, 100,000 tags beside 10", share, "many-tags", "HEAD c=64", "HEAD c=64, 10 tags", flat, 0.95},
		{"cross-repository mount, 8 clients", times, "mount", "mount c=8", "", 2.2, 4},
		{"push of an image that is there, 8 clients", times, "again", "push c=8", "", 4, 6},
		{"HEAD p99 while small images are pushed there", times, "mixed", "HEAD p99, small images", "", 1, 2},
		{"HEAD p99 while 1 GiB is pushed there", times, "mixed", "HEAD p99, 1 GiB", "", 1, 2},
		{"tagging between 9,000 and 10,000 tags, 8 clients", times, "tags", "tagging, last tenth", "", 5, 8},
		{"the same beside the first 1,000 tags", share, "tags", "tagging, last tenth", "tagging, first tenth", flat, 0.95},
		{"page of 100 tags of 10,000", times, "tags", "last page of 100", "", 10, 20},
		{"page of 100 tags, of 100,000 beside 10,000", share, "many-tags", "last page of 100", "last page of 100, 10,000 tags", flat, 0.95},
		{"catalog page near the end of 5,000", times, "catalog", "last page of 100", "", 10, 20},
		{"the same, of 100,000 beside 5,000", share, "many-repositories", "last page of 100", "last page of 100, 5,000 repositories", flat, 0.95},
		{"management, repositories, of 100,000 repositories beside 100", share, "management", "repositories", "repositories, 100", 0.5, 0.8},
		{"management, of an organization, of 100,000 repositories beside 100", share, "management", "of an organization", "of an organization, 100", 0.5, 0.8},
		{"management, of a category, of 100,000 repositories beside 100", share, "management", "of a category", "of a category, 100", 0.5, 0.8},
		{"management, public, of 100,000 repositories beside 100", share, "management", "public", "public, 100", 0.5, 0.8},
		{"management, by name, of 100,000 repositories beside 100", share, "management", "by name", "by name, 100", 0.5, 0.8},
		{"management, v3, of 100,000 repositories beside 100", share, "management", "v3", "v3, 100", 0.5, 0.8},
		{"management, show, of 100,000 repositories beside 100", share, "management", "show", "show, 100", 0.5, 0.8},
		{"management, tags, of 100,000 repositories beside 100", share, "management", "tags", "tags, 100", 0.5, 0.8},
		{"management, show tag, of 100,000 repositories beside 100", share, "management", "show tag", "show tag, 100", 0.5, 0.8},
		{"management, organization, of 100,000 repositories beside 100", share, "management", "organization", "organization, 100", 0.5, 0.8},
		{"management, search p99 of 100,000, in ms", atMost, "management", "search p99", "", 100, 0},
		{"management, deep offset p99 of 100,000, in ms", atMost, "management", "deep offset p99", "", 100, 0},
		{"copies of an image of 512 MiB to another server, beside the faster of crane and regctl", share, "sync", "large image", "large image, client", 0.7, 1},
		{"copies of 1,000 small images to another server, beside the faster of crane and regctl", share, "sync", "small images", "small images, client", 2, 3},
		{"conditional GET of an index of 7,000 chart versions, beside manifest HEAD", share, "charts", "conditional GET", "manifest HEAD", 1, 0},
		{"chart push into a group of 7,000 versions, beside an empty one", share, "charts", "push, full group", "push, empty group", 0.5, 0.95},
		{"small push p99, 8 clients, while 1,000,000 tags are swept, beside none", atMost, "retention-sweep", "push p99, beside against alone", "", 2, 0},
		{"small image push with 10 matching triggers beside none, p50", share, "triggers", "push p50, 10 triggers", "push p50, no trigger", 0.91, 0},
		{"delete of manifests, 10,000 tags", times, "delete", "of 10,000 tags", "", 200, 300},
		{"1,000 referrers by 8 clients: lost", atMost, "referrers", "lost", "", 0, 0},
		{"a page of them, in manifest GETs", atMost, "referrers", "page in manifest GETs", "", 3, 0},
		{"reclaim of 200 MiB with 5,000 repositories, after it is due (s)", atMost, "reclaim", "after due", "", 2, 0},
		{"pushes that fail meanwhile", atMost, "reclaim", "failed pushes", "", 0, 0},
		{"start with 5,000 repositories", times, "start", "first answer", "", 1, 0},
		{"idle memory, fresh (MiB)", atMost, "idle", "memory", "", 45, 30},
		{"idle memory, 5,000 repositories (MiB)", atMost, "start", "memory", "", 45, 30},
		{"memory at 64 pulls at once (MiB)", atMost, "pull", "64 x 10 MiB: memory", "", 120, 60},
	}
}
