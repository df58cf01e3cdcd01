"""What the chart renders for an engine, put to the parsers of that engine's own releases.

`subjects` says what is asked, `rendered` what a release hands to parsers, and `environment` asks. The modules in the
folder `inside` run in the parsers' environment.
"""
