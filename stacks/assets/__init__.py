"""What a deploy uploads: the functions' package and the migrations release. No cdktf."""
