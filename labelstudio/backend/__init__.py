"""The ML backend: answers clicks and boxes drawn in the browser with masks."""
