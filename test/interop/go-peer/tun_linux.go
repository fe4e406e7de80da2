package main

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// interfaceRequest is the head of struct ifreq, with room for the rest.
type interfaceRequest struct {
	name  [16]byte
	flags uint16
	_     [22]byte
}

// openTun makes a network device whose IP packets are read from and written to the file. It is gone when that closes.
func openTun(name string) (*os.File, error) {
	if len(name) > 15 {
		return nil, badUsage("%q: a device's name has at most 15 characters", name)
	}
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	request := interfaceRequest{flags: syscall.IFF_TUN | syscall.IFF_NO_PI}
	copy(request.name[:], name)
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TUNSETIFF, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		syscall.Close(fd)
		return nil, fmt.Errorf("making the device %s: %w", name, errno)
	}
	// Only from now on may the runtime poll it.
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}
