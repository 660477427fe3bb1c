package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	mathrand "math/rand"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	callTimeout  = 5 * time.Second  // One try of one call.
	patience     = 60 * time.Second // All tries together.
	longestPause = time.Second
	watchPause   = longestPause / 10
	mostBytes    = 64 << 20 // Of one answer.
)

// isUnknown says whether another try may do better: the outcome of this one is not known.
func isUnknown(err error) bool {
	code := status.Code(err)
	return code == codes.Unavailable || code == codes.DeadlineExceeded
}

// pause waits at random, at most so long: clients do not come back in step.
func pause(most time.Duration) { time.Sleep(time.Duration(mathrand.Int63n(int64(most)))) }

// repeat runs attempt, each time with a deadline of its own, until its outcome is known.
func repeat[T any](attempt func(context.Context) (T, error)) (T, error) {
	begin := time.Now()
	for most := 20 * time.Millisecond; ; most *= 2 {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		answer, err := attempt(ctx)
		cancel()
		if err == nil || !isUnknown(err) || time.Since(begin) > patience {
			return answer, err
		}
		if most > longestPause {
			most = longestPause
		}
		pause(most)
	}
}

// newID is of a request, or of a session: nobody can guess it.
func newID() string {
	id := make([]byte, 16)
	must(rand.Read(id))
	return fmt.Sprintf("%x", id)
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
