//go:build !linux

package main

import (
	"errors"
	"os"
)

func openTun(string) (*os.File, error) {
	return nil, errors.New("network devices of programs are made on Linux only")
}
