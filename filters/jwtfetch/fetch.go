package main

import "strconv"

// A fetcher keeps a token fresh. There is one in each worker of the proxy; through the store they agree on who fetches.
//
// Nothing here calls the host: its functions come in as values, so that tests bring their own.
type fetcher struct {
	config *config
	store  store
	now    func() instant
	random func() uint32
	// send asks the token service and hands its answer to the function, once, later.
	send func(func(answer)) error
	log  logger

	record   record
	inFlight bool
}

// A store holds one record that is replaced by compare-and-swap. Where workers share, it is the proxy's shared data.
type store interface {
	load() (value []byte, cas uint32, err error)
	// swap replaces the value unless it has changed since it was loaded with this cas.
	swap(value []byte, cas uint32) error
}

// A logger counts what the fetcher does and writes it down. The token does not go there, only its length and times.
type logger interface {
	fetching()
	fetched(text string, expiry instant)
	failed(why reason, text string)
}

// leaseSlack is how long the worker that fetches may need beyond the timeout to write the result down.
const leaseSlack = 2 * minInterval

// token returns the token to send, from the worker's own memory. Only when that has none is the store asked.
func (f *fetcher) token() (string, bool) {
	now := f.now()
	if !f.record.token.validAt(now) {
		f.load()
	}
	return f.record.token.value, f.record.token.validAt(now)
}

// tick starts a fetch when one is due and no worker is at it.
func (f *fetcher) tick() {
	now := f.now()
	if f.inFlight || !f.record.isDue(now) {
		return
	}
	// Another worker may have fetched in the meantime.
	cas, ok := f.load()
	if !ok || !f.record.isDue(now) || !f.record.isFree(now) {
		return
	}
	mine := f.record
	mine.asked = now
	mine.lease = now.add(f.config.request.timeout + leaseSlack)
	if f.store.swap(mine.encode(), cas) != nil {
		return // Another worker was faster. Its lease is seen at the next tick.
	}
	f.record = mine
	f.inFlight = true
	f.log.fetching()
	if err := f.send(func(a answer) { f.answered(a, now) }); err != nil {
		f.finish(token{}, &failure{notSent, "calling cluster " + f.config.upstream.cluster + ": " + err.Error()}, now)
	}
}

// answered ends the fetch that began at an instant.
func (f *fetcher) answered(a answer, asked instant) {
	t, failed := f.config.readAnswer(a, asked, f.now())
	f.finish(t, failed, asked)
}

func (f *fetcher) finish(t token, failed *failure, asked instant) {
	f.inFlight = false
	now := f.now()
	// Nobody else writes while the lease holds, so the first attempt does. Should all fail, the lease runs out and another
	// fetch follows.
	for range 3 {
		cas, ok := f.load()
		if !ok {
			break
		}
		r := f.record
		if r.asked != asked {
			break // The lease ran out and another worker has taken over.
		}
		r.lease = 0
		if failed == nil {
			r.token, r.failures, r.next = t, 0, f.config.refreshAt(t, f.random())
		} else {
			r.failures++
			r.next = retryAt(now, r.failures, f.random())
		}
		if f.store.swap(r.encode(), cas) == nil {
			f.record = r
			break
		}
	}
	next := ", next fetch in " + milliseconds(f.record.next, now)
	if failed == nil {
		f.log.fetched("got a token of "+strconv.Itoa(len(t.value))+" bytes, valid for "+milliseconds(t.expiry, now)+next, t.expiry)
	} else {
		f.log.failed(failed.reason, "fetching token: "+failed.text+next)
	}
}

// load takes over what is in the store.
func (f *fetcher) load() (cas uint32, ok bool) {
	value, cas, err := f.store.load()
	if err != nil {
		return 0, false
	}
	f.record = decodeRecord(value)
	return cas, true
}

// isDue tells whether the next fetch is due. A clock that was set back makes it so: the times in the record mean nothing then.
func (r record) isDue(now instant) bool { return now >= r.next || r.isFromTheFuture(now) }

// isFree tells whether no worker is fetching.
func (r record) isFree(now instant) bool { return now >= r.lease || r.isFromTheFuture(now) }

func (r record) isFromTheFuture(now instant) bool { return now.add(clockSlack) < r.asked }

func milliseconds(t, from instant) string { return strconv.FormatInt(int64(t-from), 10) + " ms" }
