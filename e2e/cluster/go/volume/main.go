// Volume makes or removes the folder of one local volume: the helper that local-path-provisioner runs on the volume's
// node. Arguments as the provisioner gives them: -p FOLDER -s BYTES -m MODE -a create|delete.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	folder := flag.String("p", "", "folder of the volume")
	action := flag.String("a", "", "create or delete")
	flag.String("m", "", "volume mode, unused: every volume is a folder")
	flag.Int64("s", 0, "size in bytes, unused: nothing limits a folder")
	flag.Parse()
	if err := run(*action, *folder); err != nil {
		fmt.Fprintln(os.Stderr, "volume:", err)
		os.Exit(1)
	}
}

func run(action, folder string) error {
	if folder == "" || folder == "/" {
		return fmt.Errorf("-p names no folder")
	}
	switch action {
	case "create":
		if err := os.MkdirAll(folder, 0o777); err != nil {
			return err
		}
		return os.Chmod(folder, 0o777) // pods write to it under their own user, whatever the umask here
	case "delete":
		return os.RemoveAll(folder)
	}
	return fmt.Errorf("-a %q: neither create nor delete", action)
}
