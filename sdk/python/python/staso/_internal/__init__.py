"""Private to the package: everything users may rely on is exported by ``staso`` itself."""
