
// The newest releases are at the right of the picture.
document.querySelectorAll(".picture").forEach((picture) => { picture.scrollLeft = picture.scrollWidth; });
