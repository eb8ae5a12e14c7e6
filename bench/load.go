package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"fortio.org/fortio/fhttp"
	"fortio.org/fortio/periodic"
	"fortio.org/log"
)

// connections that are kept open during a load. A few are enough to keep one worker busy.
const connections = 8

// load sends requests as fast as they are answered, count of them or for as long as duration, and returns how many were answered
// by 200. Any other answer is an error.
func load(ctx context.Context, url string, duration time.Duration, count int64) (int64, error) {
	log.SetLogLevelQuiet(log.Error)
	stop := periodic.NewAborter()
	defer context.AfterFunc(ctx, func() { stop.Abort(false) })()
	o := fhttp.HTTPRunnerOptions{
		RunnerOptions: periodic.RunnerOptions{
			QPS: -1, NumThreads: connections, Duration: duration, Exactly: count, Out: io.Discard, Stop: stop,
		},
		HTTPOptions: fhttp.HTTPOptions{URL: url, HTTPReqTimeOut: 10 * time.Second},
	}
	result, err := fhttp.RunHTTPTest(&o)
	if err != nil {
		return 0, fmt.Errorf("loading %s: %w", url, err)
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	ok := result.RetCodes[http.StatusOK]
	if sent := result.DurationHistogram.Count; ok != sent || ok == 0 {
		return 0, fmt.Errorf("loading %s: %d of %d requests were answered by 200: %v", url, ok, sent, result.RetCodes)
	}
	return ok, nil
}
