"""The console in a browser: a web server on this machine that runs a console a visitor."""
