"""Pictures for people: overlays of detections and of labels, contact sheets, HTML pages."""
