"""The page and the HTTP interface of `interior-surfaces serve`."""
